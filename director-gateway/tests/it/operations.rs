//! Acceptance and finalization, the same on both databases.

use std::time::Duration;

use binnacle_boot::database::{Database, DatabaseUrl, Options};
use binnacle_boot::{Shutdown, clock, ids};
use binnacle_domain::operation::{OperationId, OperationType, Outcome};
use binnacle_domain::webhook::{Webhook, WebhookMode, WebhookType};
use binnacle_test_support::{Postgres, Scratch, scratch};
use director_gateway::operations::{Finalized, Operations, Proposal, Queue};
use director_gateway::registry::{Error, Registry, Target};
use uuid::Uuid;

pub(crate) struct Gateway {
    pub(crate) operations: Operations,
    queue: Queue,
    pub(crate) registry: Registry,
    tenant: Uuid,
    pub(crate) shutdown: Shutdown,
    _scratch: Scratch,
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Row {
    ready: bool,
    status_condition: String,
    error: Option<String>,
    operation_id: Option<Uuid>,
    revision: i64,
}

/// Runs on whichever database it is.
macro_rules! sql {
    (@run execute, $bind:expr, $on:expr) => {
        $bind.execute($on).await.map(drop).unwrap()
    };
    (@run $run:ident, $bind:expr, $on:expr) => {
        $bind.$run($on).await.unwrap()
    };
    ($gateway:expr, $query:expr, |$q:ident| $bind:expr, $run:ident) => {
        match $gateway.registry.database() {
            Database::Sqlite(sqlite) => {
                let $q = $query;
                sql!(@run $run, $bind, &sqlite.write)
            }
            Database::Postgres(pool) => {
                let $q = $query;
                sql!(@run $run, $bind, pool)
            }
        }
    };
}

impl Gateway {
    pub(crate) async fn open(url: &DatabaseUrl, scratch: Scratch) -> Self {
        let shutdown = Shutdown::new();
        let registry = Registry::open(url, Options::default(), &shutdown)
            .await
            .unwrap();
        let (operations, queue) = Operations::start(registry.database().clone(), &shutdown);
        let gateway = Self {
            operations,
            queue,
            registry,
            tenant: ids::v4(),
            shutdown,
            _scratch: scratch,
        };
        sql!(
            gateway,
            sqlx::query(
                "INSERT INTO tenant (id, external_id, name, type, provider) VALUES ($1, $2, 't', 'account', 'p')"
            ),
            |q| q.bind(gateway.tenant).bind(gateway.tenant.to_string()),
            execute
        );
        gateway
    }

    /// What is accepted from now on, to be relayed.
    pub(crate) fn queue(&mut self) -> Queue {
        std::mem::replace(&mut self.queue, tokio::sync::mpsc::channel(1).1)
    }

    pub(crate) async fn application(&self) -> Uuid {
        let id = ids::v4();
        sql!(
            self,
            sqlx::query(
                "INSERT INTO application (id, tenant_id, name, normalised_name, ready, created_at, \
                 status_condition, status_timestamp) VALUES ($1, $2, $3, $3, true, $4, 'INITIAL', $4)"
            ),
            |q| q
                .bind(id)
                .bind(self.tenant)
                .bind(id.to_string())
                .bind(clock::now()),
            execute
        );
        id
    }

    async fn row(&self, id: Uuid) -> Option<Row> {
        sql!(
            self,
            sqlx::query_as(
                "SELECT ready, status_condition, error, operation_id, revision FROM application WHERE id = $1"
            ),
            |q| q.bind(id),
            fetch_optional
        )
    }

    async fn count(&self, table: &'static str) -> i64 {
        let sql = match table {
            "outbox" => "SELECT count(*) FROM outbox",
            _ => "SELECT count(*) FROM receipt",
        };
        sql!(self, sqlx::query_scalar(sql), |q| q, fetch_one)
    }

    /// What is in the outbox is to be sent again.
    pub(crate) async fn all_are_overdue(&self) {
        let sql = "UPDATE outbox SET send_at = 0";
        sql!(self, sqlx::query(sql), |q| q, execute);
    }

    /// One of what is in the outbox is nothing that this version can read.
    pub(crate) async fn one_cannot_be_read(&self) {
        let id: Uuid = sql!(
            self,
            sqlx::query_scalar("SELECT operation_id FROM outbox LIMIT 1"),
            |q| q,
            fetch_one
        );
        sql!(
            self,
            sqlx::query("UPDATE outbox SET spec = $1 WHERE operation_id = $2"),
            |q| q.bind(vec![0xff_u8]).bind(id),
            execute
        );
    }

    pub(crate) fn proposal(&self, application: Uuid, operation_type: OperationType) -> Proposal {
        Proposal {
            tenant: self.tenant,
            application,
            revision: 1,
            template: None,
            operation_type,
            category: match operation_type {
                OperationType::Create => "registerApplication",
                OperationType::Update => "unpairApplication",
                OperationType::Delete => "unregisterApplication",
            }
            .to_owned(),
            webhooks: vec![webhook()],
            request_object: "{}".to_owned(),
            correlation_id: "c".to_owned(),
            traceparent: String::new(),
        }
    }

    /// Starts it while no other is in progress. `None`: stale.
    async fn started(&self, proposal: Proposal) -> Result<Option<OperationId>, Error> {
        let target = (self.tenant, proposal.application);
        let propose = move |target: &mut Target| {
            target.application.ensure_idle()?;
            Ok(proposal.clone())
        };
        let started = self.operations.start_on(target, propose).await?;
        Ok(started.map(|(_, operation)| operation))
    }

    pub(crate) async fn accepted(&self, proposal: Proposal) -> OperationId {
        let started = self.started(proposal).await.unwrap();
        started.expect("the proposal is stale")
    }
}

fn webhook() -> Webhook {
    Webhook {
        id: Uuid::nil(),
        kind: WebhookType::UnregisterApplication,
        mode: Some(WebhookMode::Sync),
        url: Some("http://127.0.0.1:1/".to_owned()),
        url_template: None,
        input_template: None,
        header_template: None,
        output_template: None,
        status_template: None,
        correlation_id_key: None,
        retry_interval: None,
        timeout: None,
    }
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed {
        error: error.to_owned(),
        detail: "why".to_owned(),
    }
}

/// Runs behaviours on SQLite and on PostgreSQL, and those that only other writers bring about on PostgreSQL alone.
macro_rules! on_both {
    ($($name:ident)*; alone: $($alone:ident)*) => {
        mod on_sqlite { $(
            #[tokio::test]
            async fn $name() {
                let scratch = super::scratch();
                let url = super::DatabaseUrl::Sqlite(scratch.path().to_owned());
                super::$name(super::Gateway::open(&url, scratch).await).await;
            }
        )* }
        mod on_postgres { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let url = super::Postgres::shared().create_database().parse().unwrap();
                super::$name(super::Gateway::open(&url, super::scratch()).await).await;
            }
        )* $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $alone() {
                let url = super::Postgres::shared().create_database().parse().unwrap();
                super::$alone(super::Gateway::open(&url, super::scratch()).await).await;
            }
        )* }
    };
}

on_both! {
    an_accepted_operation_marks_its_resource_and_is_handed_over
    nothing_is_started_on_what_the_tenant_has_not
    of_many_operations_on_one_resource_one_is_accepted
    a_successful_delete_removes_the_resource_once
    a_failed_delete_leaves_its_error
    a_resource_that_is_gone_gives_deletes_success_and_updates_failure
    an_outcome_never_lands_on_a_newer_operation
    an_unknown_operation_changes_nothing
    an_overdue_operation_is_claimed_whole
    another_gateway_claims_an_operation_with_its_webhooks;
    alone:
    a_changed_revision_is_stale_and_writes_nothing
    a_changed_template_is_stale
    a_held_row_is_waited_for_on_the_second_try
}

async fn an_accepted_operation_marks_its_resource_and_is_handed_over(mut gateway: Gateway) {
    let app = gateway.application().await;
    let id = gateway
        .accepted(gateway.proposal(app, OperationType::Delete))
        .await;
    let row = gateway.row(app).await.unwrap();
    assert_eq!(
        row,
        Row {
            ready: false,
            status_condition: "DELETING".to_owned(),
            error: None,
            operation_id: Some(id.0),
            revision: 2,
        }
    );
    assert!(gateway.queue.recv().await.is_some());
    let pending = gateway.operations.pending(id.0).await.unwrap().unwrap();
    assert_eq!(pending.webhooks, [webhook().into()]);
    assert_eq!(pending.operation_category, "unregisterApplication");
}

async fn nothing_is_started_on_what_the_tenant_has_not(gateway: Gateway) {
    let app = gateway.application().await;
    let before = gateway.row(app).await;
    for target in [(ids::v4(), app), (gateway.tenant, ids::v4())] {
        let proposal = gateway.proposal(app, OperationType::Delete);
        let started = gateway
            .operations
            .start_on(target, move |_| Ok(proposal.clone()));
        let error = started.await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
    assert_eq!(gateway.row(app).await, before);
    assert_eq!(gateway.count("outbox").await, 0);
}

async fn a_changed_revision_is_stale_and_writes_nothing(gateway: Gateway) {
    let app = gateway.application().await;
    let mut proposal = gateway.proposal(app, OperationType::Delete);
    proposal.revision = 7;
    let before = gateway.row(app).await;
    assert_eq!(gateway.started(proposal).await.unwrap(), None);
    assert_eq!(gateway.row(app).await, before);
    assert_eq!(gateway.count("outbox").await, 0);
}

async fn a_changed_template_is_stale(gateway: Gateway) {
    let app = gateway.application().await;
    let template = ids::v4();
    let pool = gateway.registry.database().postgres().unwrap();
    let insert = sqlx::query(
        "INSERT INTO application_template (id, name, region, application_input, placeholders, \
         access_level, created_at, updated_at, revision) \
         VALUES ($1, 'n', '', '', '[]', 'GLOBAL', $2, $2, 3)",
    );
    let insert = insert.bind(template).bind(clock::now());
    insert.execute(pool).await.unwrap();
    let mut proposal = gateway.proposal(app, OperationType::Delete);
    proposal.template = Some((template, 2));
    assert_eq!(gateway.started(proposal.clone()).await.unwrap(), None);
    proposal.template = Some((template, 3));
    gateway.accepted(proposal).await;
}

async fn of_many_operations_on_one_resource_one_is_accepted(gateway: Gateway) {
    let app = gateway.application().await;
    let tries = (0..50).map(|_| gateway.started(gateway.proposal(app, OperationType::Delete)));
    let answers = futures::future::join_all(tries).await;
    let accepted = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Some(_))));
    assert_eq!(accepted.count(), 1, "{answers:?}");
    assert_eq!(gateway.count("outbox").await, 1);
}

async fn a_successful_delete_removes_the_resource_once(gateway: Gateway) {
    let app = gateway.application().await;
    let id = gateway
        .accepted(gateway.proposal(app, OperationType::Delete))
        .await;
    let finalize = || gateway.operations.finalize(id, Outcome::Succeeded);
    let (first, second) = tokio::join!(finalize(), finalize());
    let answers = [first.unwrap(), second.unwrap()];
    assert!(
        answers.contains(&Finalized::Applied(Outcome::Succeeded)),
        "{answers:?}"
    );
    assert_eq!(
        finalize().await.unwrap(),
        Finalized::AlreadyApplied(Outcome::Succeeded)
    );
    assert_eq!(gateway.row(app).await, None);
    assert_eq!(
        (
            gateway.count("outbox").await,
            gateway.count("receipt").await
        ),
        (0, 1)
    );
    let receipt = gateway
        .operations
        .deletion(gateway.tenant, app)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (receipt.operation, receipt.outcome),
        (id, Outcome::Succeeded)
    );
    let elsewhere = gateway.operations.deletion(ids::v4(), app).await;
    assert_eq!(elsewhere.unwrap(), None);
}

async fn a_failed_delete_leaves_its_error(gateway: Gateway) {
    let app = gateway.application().await;
    let id = gateway
        .accepted(gateway.proposal(app, OperationType::Delete))
        .await;
    let outcome = failed("it \"broke\"");
    let answer = gateway
        .operations
        .finalize(id, outcome.clone())
        .await
        .unwrap();
    assert_eq!(answer, Finalized::Applied(outcome.clone()));
    let row = gateway.row(app).await.unwrap();
    assert_eq!(row.error.as_deref(), Some(r#"{"error": "it \"broke\""}"#));
    assert_eq!(
        (row.ready, row.status_condition.as_str()),
        (true, "DELETE_FAILED")
    );
    assert_eq!(row.operation_id, None);
    let repeated = gateway
        .operations
        .finalize(id, Outcome::Succeeded)
        .await
        .unwrap();
    assert_eq!(repeated, Finalized::AlreadyApplied(outcome));
    assert!(gateway.row(app).await.is_some());
}

async fn a_resource_that_is_gone_gives_deletes_success_and_updates_failure(gateway: Gateway) {
    for (operation_type, expected) in [
        (OperationType::Delete, Outcome::Succeeded),
        (
            OperationType::Update,
            Outcome::Failed {
                error: "Application not found in director".to_owned(),
                detail: String::new(),
            },
        ),
    ] {
        let app = gateway.application().await;
        let id = gateway
            .accepted(gateway.proposal(app, operation_type))
            .await;
        sql!(
            gateway,
            sqlx::query("DELETE FROM application WHERE id = $1"),
            |q| q.bind(app),
            execute
        );
        let answer = gateway
            .operations
            .finalize(id, Outcome::Succeeded)
            .await
            .unwrap();
        assert_eq!(answer, Finalized::ResourceGone(expected.clone()));
        let repeated = gateway
            .operations
            .finalize(id, Outcome::Succeeded)
            .await
            .unwrap();
        assert_eq!(repeated, Finalized::AlreadyApplied(expected));
    }
}

async fn an_outcome_never_lands_on_a_newer_operation(gateway: Gateway) {
    let app = gateway.application().await;
    let id = gateway
        .accepted(gateway.proposal(app, OperationType::Delete))
        .await;
    let newer = ids::v4();
    sql!(
        gateway,
        sqlx::query("UPDATE application SET operation_id = $2 WHERE id = $1"),
        |q| q.bind(app).bind(newer),
        execute
    );
    let answer = gateway
        .operations
        .finalize(id, Outcome::Succeeded)
        .await
        .unwrap();
    assert_eq!(answer, Finalized::Unknown);
    assert_eq!(gateway.row(app).await.unwrap().operation_id, Some(newer));
    assert_eq!(gateway.count("receipt").await, 0);
}

async fn an_unknown_operation_changes_nothing(gateway: Gateway) {
    let app = gateway.application().await;
    let before = gateway.row(app).await;
    let unknown = OperationId(ids::v4());
    let answer = gateway
        .operations
        .finalize(unknown, Outcome::Succeeded)
        .await
        .unwrap();
    assert_eq!(answer, Finalized::Unknown);
    assert_eq!(gateway.row(app).await, before);
}

async fn claimed(gateway: &Gateway) -> Vec<Uuid> {
    gateway
        .operations
        .claim(None)
        .await
        .unwrap()
        .0
        .iter()
        .map(|outgoing| outgoing.id)
        .collect()
}

async fn a_held_row_is_waited_for_on_the_second_try(gateway: Gateway) {
    let app = gateway.application().await;
    let proposal = gateway.proposal(app, OperationType::Delete);
    let pool = gateway.registry.database().postgres().unwrap();
    let mut holder = pool.begin().await.unwrap();
    let hold = sqlx::query("SELECT FROM application WHERE id = $1 FOR UPDATE").bind(app);
    hold.execute(&mut *holder).await.unwrap();
    assert_eq!(gateway.started(proposal.clone()).await.unwrap(), None);
    let released = async {
        until_waiting(pool).await;
        holder.rollback().await.unwrap();
    };
    let waiting = gateway.operations.accept_waiting(proposal);
    let (accepted, ()) = futures::join!(waiting, released);
    assert!(accepted.unwrap().is_some());
}

/// Until a statement waits for a lock.
async fn until_waiting(pool: &sqlx::PgPool) {
    const WAITING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock')";
    binnacle_test_support::until(Duration::from_secs(10), || async {
        sqlx::query_scalar(WAITING)
            .fetch_one(pool)
            .await
            .unwrap_or(false)
    })
    .await;
}

async fn another_gateway_claims_an_operation_with_its_webhooks(gateway: Gateway) {
    let app = gateway.application().await;
    gateway
        .accepted(gateway.proposal(app, OperationType::Delete))
        .await;
    gateway.all_are_overdue().await;
    let database = gateway.registry.database().clone();
    let (another, _queue) = Operations::start(database, &gateway.shutdown);
    let (claimed, _) = another.claim(None).await.unwrap();
    let pending = another.pending(claimed[0].id).await.unwrap().unwrap();
    assert_eq!(pending.webhooks, [webhook().into()]);
}

#[tokio::test]
async fn on_sqlite_an_application_that_cannot_be_read_fails_nothing_but_its_own_start() {
    let scratch = scratch();
    let url = DatabaseUrl::Sqlite(scratch.path().to_owned());
    let gateway = Gateway::open(&url, scratch).await;
    let (broken, sound) = (gateway.application().await, gateway.application().await);
    let pool = gateway.registry.database().sqlite().unwrap();
    let update = sqlx::query("UPDATE application SET created_at = 'never' WHERE id = $1");
    update.bind(broken).execute(pool).await.unwrap();
    let start = |app| gateway.started(gateway.proposal(app, OperationType::Delete));
    let (of_broken, of_sound) = tokio::join!(start(broken), start(sound));
    assert_eq!(of_broken.unwrap(), None);
    assert!(of_sound.unwrap().is_some());
    let apart = gateway.registry.target(gateway.tenant, broken).await;
    assert!(matches!(apart, Err(Error::Failed(_))), "{apart:?}");
}

async fn an_overdue_operation_is_claimed_whole(gateway: Gateway) {
    let app = gateway.application().await;
    let id = gateway
        .accepted(gateway.proposal(app, OperationType::Delete))
        .await;
    assert!(claimed(&gateway).await.is_empty());
    gateway.all_are_overdue().await;
    assert_eq!(claimed(&gateway).await, [id.0]);
    assert!(claimed(&gateway).await.is_empty());
    gateway.shutdown.trigger();
    gateway.shutdown.drain(Duration::from_secs(5)).await;
}
