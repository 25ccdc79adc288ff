//! A gateway of a test's own: the registry on a database, the schema, and a socket.

use std::future::Future;
use std::sync::Arc;

use async_graphql::Request;
use binnacle_boot::database::{Database, DatabaseUrl, Options};
use binnacle_boot::{Shutdown, grpc};
use binnacle_proto::scheduler::v1::scheduler_service_client::SchedulerServiceClient;
use binnacle_test_support::{Postgres, Scratch, scratch};
use director_gateway::graphql::{self, Caller, GatewaySchema};
use director_gateway::http::{Door, Metrics, routes};
use director_gateway::operations::{Operations, Queue};
use director_gateway::poll::Polls;
use director_gateway::registry::Registry;
use tokio::net::TcpListener;

/// What the poll URLs of a gateway begin with, wherever it is served.
pub(crate) const PUBLIC_URL: &str = "http://gateway.example";

/// A gateway without the rest of the mesh.
pub(crate) struct Gateway {
    pub(crate) registry: Registry,
    pub(crate) schema: GatewaySchema,
    pub(crate) operations: Operations,
    shutdown: Shutdown,
    _queue: Queue,
    _scratch: Scratch,
}

/// Runs `test` on SQLite and on PostgreSQL.
pub(crate) async fn on_both<F, T>(test: F)
where
    F: Fn(Gateway) -> T,
    T: Future<Output = ()>,
{
    test(Gateway::sqlite().await).await;
    test(Gateway::postgres().await).await;
}

impl Gateway {
    pub(crate) async fn sqlite() -> Self {
        let scratch = scratch();
        let url = format!("sqlite:{}", scratch.path().display())
            .parse()
            .unwrap();
        Self::open(&url, scratch).await
    }

    pub(crate) async fn postgres() -> Self {
        let url = tokio::task::spawn_blocking(|| Postgres::shared().create_database());
        Self::open(&url.await.unwrap().parse().unwrap(), scratch()).await
    }

    pub(crate) async fn open(url: &DatabaseUrl, scratch: Scratch) -> Self {
        let shutdown = Shutdown::new();
        let registry = Registry::open(url, Options::default(), &shutdown)
            .await
            .unwrap();
        let (operations, queue) = Operations::start(registry.database().clone(), &shutdown);
        let options = graphql::Options {
            public_url: PUBLIC_URL.to_owned(),
            user: "diff-user".to_owned(),
        };
        let schema = graphql::schema(registry.clone(), operations.clone(), options);
        Self {
            registry,
            schema,
            operations,
            shutdown,
            _queue: queue,
            _scratch: scratch,
        }
    }

    /// Serves the door on a free port and gives the URL of its GraphQL. Requests without a tenant
    /// are in none.
    pub(crate) async fn serve(&self) -> String {
        self.serve_by_default_to(None).await + "/graphql"
    }

    /// Serves the door on a free port and gives the beginning of its URLs. Requests without a
    /// tenant are in the default one.
    pub(crate) async fn serve_by_default_to(&self, default_tenant: Option<&str>) -> String {
        let (registry, shutdown) = (self.registry.clone(), self.shutdown.clone());
        let nobody = SchedulerServiceClient::new(grpc::channel(
            ([127, 0, 0, 1], 1).into(),
            &grpc::InProcess::default(),
        ));
        let polls = Polls::new(
            registry.clone(),
            self.operations.clone(),
            nobody,
            shutdown.clone(),
        );
        let door = Door {
            guard: Arc::default(),
            schema: self.schema.clone(),
            registry,
            polls,
            metrics: Metrics::register(&prometheus::Registry::new()).unwrap(),
            default_tenant: default_tenant.map(Arc::from),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = binnacle_boot::http::serve(listener, routes(door), shutdown);
        self.shutdown.spawn(serving);
        url
    }

    /// What the schema answers to a caller of a tenant.
    pub(crate) async fn ask(&self, tenant: &str, request: impl Into<Request>) -> serde_json::Value {
        let caller = Caller {
            tenant: Some(tenant.to_owned()),
            ..Caller::default()
        };
        let request = graphql::request_data(&self.registry, caller, request.into())
            .await
            .unwrap();
        serde_json::to_value(self.schema.execute(request).await).unwrap()
    }

    /// Like [`Gateway::ask`], with variables.
    pub(crate) async fn ask_with(
        &self,
        tenant: &str,
        query: &str,
        variables: serde_json::Value,
    ) -> serde_json::Value {
        let variables = async_graphql::Variables::from_json(variables);
        self.ask(tenant, Request::new(query).variables(variables))
            .await
    }

    /// How many operations are accepted and not finalized.
    pub(crate) async fn outbox(&self) -> i64 {
        const COUNT: &str = "SELECT count(*) FROM outbox";
        let count = match self.registry.database() {
            Database::Sqlite(sqlite) => sqlx::query_scalar(COUNT).fetch_one(&sqlite.read).await,
            Database::Postgres(pool) => sqlx::query_scalar(COUNT).fetch_one(pool).await,
        };
        count.unwrap()
    }

    /// Makes tenants that callers know by these ids.
    pub(crate) async fn tenants(&self, external_ids: &[&str]) {
        for external in external_ids {
            self.registry.ensure_tenant(external).await.unwrap();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}
