/** The OpenAPI document against the service it describes: no 5xx, no answer that is not in it. */
import { ScriptedEngine } from '../support/scripted-engine';
import { installSchemathesis, schemathesis } from '../support/schemathesis';
import { API_KEY, startTestService, stopTestServices } from '../support/test-service';

// A minute of the processors, which others have, too.
jest.setTimeout(900_000);
installSchemathesis();
stopTestServices();

test('schemathesis finds no answer that the document does not have', async () => {
  const embedder = new ScriptedEngine();
  embedder.model = { ...embedder.model, id: 'embedder', makes: 'embeddings' };
  const { url } = await startTestService({
    config: { models: [{ model_path: '/embedder.gguf' }] },
    others: [embedder],
  });
  const { exitCode, output } = await schemathesis(
    `${url}/openapi.json`,
    ...['--header', `Authorization: Bearer ${API_KEY}`],
    // As nginx does it: without, a scraper on this machine may read the metrics.
    ...['--header', 'X-Forwarded-For: 192.0.2.7'],
    ...['--checks', 'all'],
    // How long an answer takes, ten seconds at most by itself, says more of what else the machine does; so does how long a
    // request takes to be made up.
    ...['--max-response-time', '300', '--request-timeout', '300', '--suppress-health-check', 'too_slow'],
    // What the document cannot say: that fields exclude each other, and how a JSON schema inside a request must be.
    ...['--exclude-checks', 'positive_data_acceptance'],
    ...['--phases', 'coverage,fuzzing', '--max-examples', '20', '--seed', '1', '--continue-on-failure'],
  );
  if (exitCode !== 0) throw new Error(output);
});
