import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { openApiDocument } from '../../../runtime/src/api/openapi/document';
import { REPOSITORY } from '../../support/test-model';
import { startTestService, stopTestServices } from '../support/test-service';

stopTestServices();

const COPY = join(REPOSITORY, 'docs', 'openapi.json');
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly requestBody?: unknown }>>>>;
}

test('docs/openapi.json is what the schemas say; UPDATE_DOCS=1 writes it anew', () => {
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'runtime', 'package.json'), 'utf8')) as {
    version: string;
  };
  const made = `${JSON.stringify(openApiDocument({ version, models: ['MODEL'], contextSize: 4096 }), null, 2)}\n`;
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(COPY, made);
  expect(readFileSync(COPY, 'utf8')).toBe(made);
});

test('it is served without a key, with the bounds of the model that runs', async () => {
  const { url, engine } = await startTestService();
  Object.assign(engine.model, { contextSize: 777 });
  const response = await fetch(`${url}/openapi.json`);
  expect(response.status).toBe(200);
  const text = await response.text();
  expect(text).toMatch(/"max_tokens":\{"anyOf":\[\{"type":"integer","minimum":1,"maximum":777\}/);
});

test('every route but the console’s is in it, and nothing that is not there', async () => {
  const { call } = await startTestService();
  const { paths } = (await (await call('/openapi.json')).json()) as Document;
  const { error } = (await (await call('/nowhere')).json()) as { error: { message: string } };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  for (const route of error.message.split('routes are ')[1]!.split(', ')) expect(routes).toContain(route);
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods)) {
      const response = await call(path.replace('{id}', 'test-model'), undefined, {
        method: method.toUpperCase(),
      });
      expect([path, [404, 405].includes(response.status)]).toEqual([path, false]);
    }
  }
});
