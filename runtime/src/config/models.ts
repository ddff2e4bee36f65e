/** The models that a configuration names, each with the settings that hold for it. */
import { modelIdOf, type BotConfig } from './schema.js';

export interface ModelConfig {
  /** The name clients use. */
  readonly id: string;
  /** Where it stands in the configuration, to be put before its own keys: nothing for the default one, `models[0].` … */
  readonly key: string;
  /** Exactly one of these two is set. */
  readonly path?: string;
  readonly remote?: NonNullable<BotConfig['remote_service']>;
  /** As written, without a default. */
  readonly name?: string;
  readonly engine: BotConfig['engine'];
}

/** The first is the default: it answers where a request names none. */
export function modelsOf(config: BotConfig): readonly ModelConfig[] {
  return [config, ...config.models].map((model, index) => ({
    id: modelIdOf(model),
    key: index === 0 ? '' : `models[${index - 1}].`,
    path: model.model_path,
    remote: model.remote_service,
    name: model.model_name,
    engine: index === 0 ? config.engine : { ...config.engine, ...model.engine },
  }));
}
