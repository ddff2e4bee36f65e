/**
 * Signals: the first SIGTERM or SIGINT asks for an orderly end, the second ends at once; SIGUSR2 reopens the log, SIGHUP
 * reads the access policy again.
 */

export interface EndOrder {
  readonly signal: NodeJS.Signals;
}

export interface EndOrders {
  readonly first: Promise<EndOrder>;
  dispose(): void;
}

const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

export function onEndOrders(onReopen: () => void, onReload: () => void): EndOrders {
  let count = 0;
  let order: (order: EndOrder) => void;
  const first = new Promise<EndOrder>((resolve) => {
    order = resolve;
  });
  const onSignal = (signal: NodeJS.Signals) => {
    count++;
    // The engine's process ends with its parent.
    if (count > 1) process.exit(128 + SIGNAL_NUMBERS[signal as keyof typeof SIGNAL_NUMBERS]);
    order({ signal });
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGUSR2', onReopen);
  process.on('SIGHUP', onReload);
  return {
    first,
    dispose() {
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
      process.off('SIGUSR2', onReopen);
      process.off('SIGHUP', onReload);
    },
  };
}
