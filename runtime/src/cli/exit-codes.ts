/** How `bot` ends. systemd's unit restarts on any of them but CONFIGURATION, which no restart can cure. */
export const EXIT = {
  OK: 0,
  FAILURE: 1,
  /** A flag or argument is wrong. */
  USAGE: 2,
  /** The configuration must be corrected first (EX_CONFIG of sysexits.h). */
  CONFIGURATION: 78,
} as const;
