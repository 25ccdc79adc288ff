const defaultQuery = `# The applications of a tenant.
# Another tenant goes under "Headers":
#   {"Tenant": "its external id"}
query Applications {
  applications(first: 20) {
    totalCount
    data {
      id
      name
      status {
        condition
      }
    }
  }
}
`;
const url = new URL("graphql", document.baseURI).href;
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url }),
    defaultQuery,
    defaultEditorToolsVisibility: "headers",
    defaultHeaders: "{}",
  }),
);
