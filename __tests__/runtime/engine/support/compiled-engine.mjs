// @ts-nocheck -- it loads what was compiled
/** For scripts that Jest runs in a process of their own: llama.cpp and what the engine evaluates with, on a model. */

/** @param engine folder of the compiled engine. Two sequences of `contextSize` tokens. */
export async function loadCompiledEngine(engine, modelPath, contextSize) {
  const load = (name) => import(`${engine}/${name}.js`);
  const [{ loadModel }, { resolveModelSettings }, { Evaluator }, { Sampler }, native] = await Promise.all(
    ['load-model', 'options', 'evaluator', 'sampler', 'native'].map(load),
  );
  const settings = resolveModelSettings({ modelPath, contextSize, sequences: 2, promptCacheMiB: 0 });
  const { model, context, sequences } = await loadModel(settings, { reservedBytes: 0, returningBytes: 0 });
  const newNativeSampler = () => native.newNativeSampler(model);
  return {
    settings,
    model,
    sequences,
    llama: native.nativeContext(context),
    newEvaluator: (llama) => new Evaluator(llama, newNativeSampler),
    newSampler: () => new Sampler(newNativeSampler()),
  };
}
