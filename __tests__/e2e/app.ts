/**
 * The app of stacks/main.ts, with its own props, for the end-to-end test. What is switched, and why, stands in
 * deployment/switches.ts; it comes in by the environment, because cdktf runs this file as a program.
 */
import { run } from '../../stacks/app';
import { props } from '../../stacks/main';
import { switchesFromEnvironment } from './deployment/switches';

void run({ ...props, ...switchesFromEnvironment() });
