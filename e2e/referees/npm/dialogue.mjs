// How a script talks with the test that started it: one JSON value a line. Its
// settings are in the environment; when stdin ends, so does the script.
import { createInterface } from 'node:readline';

export const settings = JSON.parse(process.env.SETTINGS);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export function tell(result) {
  process.stdout.write(JSON.stringify(result) + '\n');
}

// ask says what is needed and waits for the answer.
export async function ask(question) {
  tell(question);
  const { value, done } = await lines.next();
  if (done) throw new Error('nobody answered ' + JSON.stringify(question));
  return JSON.parse(value);
}

// refused calls what the tenant must refuse and returns the error.
export async function refused(what, call) {
  let got;
  try {
    got = await call();
  } catch (err) {
    return err;
  }
  throw new Error(`${what} was not refused: ${JSON.stringify(got)}`);
}

// serve runs an Express application on a free port until stdin ends. The test
// is told its address, and answers when the tenant knows it.
export async function serve(makeApp) {
  const { default: express } = await import('express');
  const outer = express();
  const server = await new Promise((resolve) => {
    const s = outer.listen(0, 'localhost', () => resolve(s));
  });
  const url = `http://localhost:${server.address().port}`;
  await ask({ url });
  outer.use(await makeApp(express, url));
  outer.use((err, req, res, next) => {
    if (res.headersSent) return next(err);
    res.set(err.headers ?? {}).status(err.status ?? err.statusCode ?? 500).json({ error: err.error ?? err.name, description: err.error_description ?? err.message });
  });
  tell({ ready: true });
  while (!(await lines.next()).done);
  server.close();
  server.closeAllConnections();
}
