declare module "cytoscape-dagre" {
  const layout: import("cytoscape").Ext;
  export default layout;
}
