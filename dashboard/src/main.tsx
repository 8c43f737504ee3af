/** Begins: the page of the address, and the stream of what it shows. */
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/rollouts.css";
import "./styles/rollout.css";
import "./styles/graph.css";
import { effect } from "@preact/signals";
import { type JSX, render } from "preact";
import { Shell } from "./components/shell";
import { getWhoAmI } from "./lib/api";
import { info, loadInfo } from "./lib/info";
import { follow } from "./lib/live";
import { type Route, route } from "./lib/router";
import { signOut, token, user } from "./lib/session";
import { GraphPage } from "./pages/graph";
import { HistoryPage } from "./pages/history";
import { MeshPage } from "./pages/mesh";
import { RolloutPageView } from "./pages/rollout";
import { RolloutsPage } from "./pages/rollouts";

const Page = (): JSX.Element => {
  const here = route.value;
  if (info.value?.mesh === false && (here.page === "graph" || here.page === "mesh")) {
    return (
      <div class="card empty">
        <strong>This controller has no mesh to ask</strong>
        Graph and mesh health come from Coalmine's own mesh; releases on other meshes are on the page of rollouts.
      </div>
    );
  }
  switch (here.page) {
    case "rollouts":
      return <RolloutsPage />;
    case "rollout":
      return <RolloutPageView key={`${here.namespace}/${here.name}`} namespace={here.namespace} name={here.name} />;
    case "history":
      return <HistoryPage />;
    case "graph":
      return <GraphPage />;
    case "mesh":
      return <MeshPage />;
    default:
      return (
        <div class="card empty">
          <strong>There is no such page</strong>
          <a href="#/">All rollouts</a>
        </div>
      );
  }
};

const topicsOf = (here: Route): string[] => {
  switch (here.page) {
    case "rollout":
      return [`rollout/${here.namespace}/${here.name}`];
    case "graph":
    case "mesh":
      return info.value?.mesh === false ? [] : [here.page];
    default:
      return ["rollouts"];
  }
};

const titleOf = (here: Route): string =>
  here.page === "rollout"
    ? `${here.namespace}/${here.name} · Coalmine`
    : { rollouts: "Rollouts · Coalmine", history: "History · Coalmine", graph: "Service graph · Coalmine", mesh: "Mesh · Coalmine", unknown: "Coalmine" }[here.page];

effect(() => {
  document.title = titleOf(route.value);
  follow(topicsOf(route.value));
});

// After a reload the token is still there, its owner's name is not.
if (token.value && !user.value) {
  getWhoAmI(token.value).then(
    (answer) => (user.value = answer.user),
    () => signOut(),
  );
}

const App = (): JSX.Element => (
  <Shell>
    <Page />
  </Shell>
);

loadInfo();
render(<App />, document.getElementById("app")!);
