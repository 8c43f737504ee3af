// Builds the dashboard into dist/: index.html and assets whose names hold a digest, so that browsers keep them for good.
import { build } from "esbuild";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";

const common = {
  bundle: true,
  minify: true,
  target: ["es2023", "chrome123", "firefox121", "safari17.5"],
  outdir: "dist/assets",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".woff2": "file", ".svg": "file" },
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "linked",
  metafile: true,
  logLevel: "warning",
};
const app = await build({ ...common, entryPoints: { app: "src/main.tsx" }, splitting: true, format: "esm" });
// No module: it has to run before the page is painted.
const theme = await build({ ...common, entryPoints: { theme: "src/theme-early.ts" }, format: "iife" });

const outputs = { ...app.metafile.outputs, ...theme.metafile.outputs };
const [script, { cssBundle }] = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === "src/main.tsx");
const [early] = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === "src/theme-early.ts");
const relative = (path) => path.replace(/^dist\//, "");
const values = { APP: relative(script), STYLE: relative(cssBundle), THEME: relative(early) };
const page = readFileSync("index.html", "utf8").replace(/%(APP|STYLE|THEME)%/g, (_, name) => values[name]);
writeFileSync("dist/index.html", page);
copyFileSync("icon.svg", "dist/icon.svg");
