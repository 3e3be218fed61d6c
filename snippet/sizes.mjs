/**
 * The scripts' sizes beside those of scripts that do something like it. Fetches the others from npm.
 *
 *   node sizes.mjs [--json]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { minify } from 'terser';

const here = dirname(fileURLToPath(import.meta.url));
const others = [
  { name: 'js-cookie', version: '3.0.8', file: 'dist/js.cookie.min.js', does: 'reads and writes cookies' },
  { name: 'umami', version: '2.10.0', file: 'src/tracker/index.js', does: 'counts page views', minified: false },
  { name: '@plausible-analytics/tracker', version: '0.4.6', file: 'plausible.js', does: 'counts page views' },
  { name: 'sourcebuster', version: '1.1.0', file: 'dist/sourcebuster.min.js', does: 'remembers where visitors came from' },
];

const row = (name, text, does) => ({
  name,
  minified: Buffer.byteLength(text),
  gzip: gzipSync(text, { level: 9 }).length,
  brotli: brotliCompressSync(text).length,
  does,
});

async function fetched({ name, version, file, does, minified = true }) {
  const folder = mkdtempSync(join(tmpdir(), 'sizes-'));
  try {
    execFileSync('npm', ['pack', '--silent', `${name}@${version}`], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    execFileSync('tar', ['xzf', readdirSync(folder)[0]], { cwd: folder });
    const text = readFileSync(join(folder, 'package', file), 'utf8');
    return row(`${name} ${version}`, minified ? text : (await minify(text, { module: true })).code, does);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const { version } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const own = (name) => readFileSync(join(here, 'dist', `${name}-${version}.js`), 'utf8');
const rows = [
  row('capture.js', own('capture'), 'the click id, consent, cookie, fields, single pages'),
  row('shopify.js', own('shopify'), "Shopify's cart attribute"),
  row('both, inline', `${own('capture')}\n${own('shopify')}`, 'what a Shopify theme carries'),
];
for (const other of others) rows.push(await fetched(other));

if (process.argv.includes('--json')) console.log(JSON.stringify(rows, null, 2));
else {
  console.log('| script | minified | gzip | Brotli | does |\n| --- | --- | --- | --- | --- |');
  for (const { name, minified, gzip, brotli, does } of rows)
    console.log(`| ${name} | ${minified} | ${gzip} | ${brotli} | ${does} |`);
}
