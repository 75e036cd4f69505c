// Drains jobs whose effect is one INSERT, twice: with the defaults, and with 16 at once. Prints both rates.
const { Pool } = require("pg");
const { run, runMigrations, Logger } = require("graphile-worker");

const [host, jobs] = [process.argv[2], Number(process.argv[3])];
const quiet = new Logger(() => () => {});

async function drain(pool, options) {
  await pool.query(
    "SELECT graphile_worker.add_job('effect', json_build_object('n', n)) FROM generate_series(1, $1::int) n", [jobs]);
  let left = jobs, done;
  const finished = new Promise((resolve) => { done = resolve; });
  const effect = async ({ n }, helpers) => { await helpers.query("INSERT INTO effects (n) VALUES ($1)", [n]); };
  const begin = process.hrtime.bigint();
  const runner = await run({ pgPool: pool, logger: quiet, noHandleSignals: true, taskList: { effect }, ...options });
  runner.events.on("job:success", () => { if (--left === 0) done(); });
  await finished;
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  await runner.stop();
  return jobs / seconds;
}

(async () => {
  const pool = () => new Pool({ host, user: "postgres", database: "graphile", max: 20 });
  const first = pool();
  await runMigrations({ pgPool: first, logger: quiet });
  await first.query("CREATE TABLE IF NOT EXISTS effects (n bigint)");
  const byDefault = await drain(first, {});
  const second = pool();
  const atOnce = await drain(second, { concurrentJobs: 16 });
  console.log(JSON.stringify([byDefault, atOnce]));
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
