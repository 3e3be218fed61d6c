/**
 * Builds dist/ and what carries the scripts into shop systems: the Liquid snippet and the plugin's asset.
 *
 *   node build.mjs           writes
 *   node build.mjs --check   writes nothing; fails if something is not as it would be written
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { minify } from 'terser';

const here = dirname(fileURLToPath(import.meta.url));
const read = (...path) => readFileSync(join(here, ...path), 'utf8');
const { version } = JSON.parse(read('package.json'));

/** The file's minified code and its source map, sources included. */
async function built(name) {
  const { code, map } = await minify(
    { [`${name}.js`]: read(`${name}.js`) },
    {
      ecma: 2020,
      compress: { passes: 3, unsafe: true },
      mangle: true,
      // No sourceMappingURL: it would cost every visitor 40 bytes. Add the map by hand in the browser's tools.
      sourceMap: { filename: `${name}-${version}.js`, includeSources: true },
    },
  );
  return { code, map };
}

const capture = await built('capture');
const shopify = await built('shopify');

const files = {
  [`dist/capture-${version}.js`]: capture.code,
  [`dist/capture-${version}.js.map`]: capture.map,
  [`dist/shopify-${version}.js`]: shopify.code,
  [`dist/shopify-${version}.js.map`]: shopify.map,
  'shopify/prisjakt-relay.liquid': read('shopify', 'prisjakt-relay.liquid.template')
    .replaceAll('%VERSION%', () => version)
    .replace('%SCRIPT%', () => `${shopify.code}\n${capture.code}`),
  'woocommerce/prisjakt-relay/assets/capture.js': capture.code,
};

const stale = readdirSync(join(here, 'dist'))
  .map((name) => `dist/${name}`)
  .filter((name) => !(name in files));

if (process.argv.includes('--check')) {
  const wrong = Object.entries(files)
    .filter(([name, text]) => {
      try {
        return read(name) !== text;
      } catch {
        return true;
      }
    })
    .map(([name]) => name);
  for (const name of [...wrong, ...stale]) console.error(`snippet/${name} is not what the build makes: run make snippet`);
  process.exitCode = wrong.length + stale.length ? 1 : 0;
} else {
  for (const name of stale) rmSync(join(here, name));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(here, name)), { recursive: true });
    writeFileSync(join(here, name), text);
  }
}
