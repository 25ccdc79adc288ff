//! Floors on PostgreSQL: what operations cost that do nothing else than to be written. Each marks
//! its resource when it begins and when it ends, as ours do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinSet;

use super::super::lane::Lane;
use super::super::server::{Database, Server};
use super::{Count, Floors};

/// Resources per client; a client works on its own.
const SHARE: i64 = 1_500;
const CLIENTS: usize = 64;
/// The concurrency at which each floor is highest on a small machine.
const NAIVE_CLIENTS: usize = 32;
const BATCHED_CLIENTS: usize = 8;
const BATCH: i64 = 100;

const TABLES: &str = "
    DROP TABLE IF EXISTS resource, operation, single;
    CREATE TABLE resource (id bigint PRIMARY KEY, ready boolean NOT NULL, status text NOT NULL,
        operation_id bigint, note text NOT NULL) WITH (fillfactor = 80);
    INSERT INTO resource SELECT i, true, 'INITIAL', NULL, repeat('x', 100)
        FROM generate_series(0, 99999) AS i;
    CREATE TABLE operation (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        resource_id bigint NOT NULL, status smallint NOT NULL, owner integer,
        due_at timestamptz NOT NULL DEFAULT now(), payload text NOT NULL);
    CREATE UNIQUE INDEX operation_active ON operation (resource_id) WHERE status < 2;
    CREATE INDEX operation_due ON operation (due_at) WHERE status = 0;
    CREATE TABLE single (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        resource_id bigint NOT NULL, status smallint NOT NULL, payload text NOT NULL);
    VACUUM ANALYZE resource";
const SINGLE: &str = "INSERT INTO single (resource_id, status, payload) VALUES ($1, 0, $2)";
const ACCEPT: &str = "WITH new AS (INSERT INTO operation (resource_id, status, payload) \
    VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id, resource_id) \
    UPDATE resource SET ready = false, status = 'UNPAIRING', operation_id = new.id FROM new \
    WHERE resource.id = new.resource_id RETURNING new.id";
const CLAIM: &str = "UPDATE operation SET status = 1, owner = $1 WHERE id = (SELECT id \
    FROM operation WHERE status = 0 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id";
const FINISH: &str = "WITH done AS (UPDATE operation SET status = 2 WHERE id = $1 \
    RETURNING resource_id) UPDATE resource SET ready = true, status = 'INITIAL', \
    operation_id = NULL FROM done WHERE resource.id = done.resource_id";
const ACCEPT_MANY: &str = "WITH new AS (INSERT INTO operation (resource_id, status, payload) \
    SELECT r, 1::smallint, $2 FROM unnest($1::bigint[]) AS r \
    ON CONFLICT DO NOTHING RETURNING id, resource_id) \
    UPDATE resource SET ready = false, status = 'UNPAIRING', operation_id = new.id FROM new \
    WHERE resource.id = new.resource_id RETURNING new.id";
const FINISH_MANY: &str = "WITH done AS (UPDATE operation SET status = 2 \
    WHERE id = ANY ($1::bigint[]) RETURNING resource_id) \
    UPDATE resource SET ready = true, status = 'INITIAL', \
    operation_id = NULL FROM done WHERE resource.id = done.resource_id";

#[derive(Clone, Copy, Debug)]
enum Floor {
    Single,
    Naive,
    Fused,
    Batched,
}

impl Floor {
    fn clients(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Naive => NAIVE_CLIENTS,
            Self::Fused => CLIENTS,
            Self::Batched => BATCHED_CLIENTS,
        }
    }
}

pub(super) async fn measure(server: &Server, length: Duration) -> anyhow::Result<Floors> {
    let database = server.create_database().await?;
    let mut connection = database.connect().await?;
    // What was written before is not to be written out in the middle of this. Not everybody may ask
    // for it.
    let _ = sqlx::query("CHECKPOINT").execute(&mut connection).await;
    let lane = Lane::start("bench-floor")?;
    let mut counts = Vec::new();
    for floor in [Floor::Single, Floor::Naive, Floor::Fused, Floor::Batched] {
        // Each on tables that nobody has used.
        for statement in TABLES.split(';').map(str::trim) {
            let made = sqlx::query(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await;
            made.context("cannot make the tables of the floors")?;
        }
        counts.push(run(&lane, &database, floor, length).await?);
    }
    drop(connection);
    server.drop_database(&database.name).await?;
    let rate = |n: usize| {
        let counts = counts.get(n)?;
        Some(counts.iter().map(Count::per_second).sum())
    };
    let single = counts.first().and_then(|counts| counts.first());
    let single = single.context("nobody measured")?;
    Ok(Floors {
        single: single.per_second(),
        single_p50_ms: single.millis(0.5),
        single_p99_ms: single.millis(0.99),
        naive: rate(1),
        fused: rate(2),
        batched: rate(3),
    })
}

/// All clients on one thread, as a benchmark's own clients are: so the processors are the server's.
async fn run(
    lane: &Lane,
    database: &Database,
    floor: Floor,
    length: Duration,
) -> anyhow::Result<Vec<Count>> {
    let payload: Arc<str> = "x".repeat(190).into();
    let mut clients = Vec::with_capacity(floor.clients());
    for number in 0..floor.clients() {
        let database = database.clone();
        clients.push(Client {
            connection: lane.run(async move { database.connect().await }).await?,
            first: i64::try_from(number)? * SHARE,
            turn: 0,
            payload: payload.clone(),
        });
    }
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn_on(client.work(floor, Count::new(length)), lane.handle());
    }
    let mut counts = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let count = ended.context("a client of the floor panicked")?;
        counts.push(count.with_context(|| format!("cannot measure the floor {floor:?}"))?);
    }
    Ok(counts)
}

struct Client {
    connection: PgConnection,
    first: i64,
    turn: i64,
    payload: Arc<str>,
}

impl Client {
    async fn work(mut self, floor: Floor, mut count: Count) -> Result<Count, sqlx::Error> {
        while count.goes_on() {
            let since = Instant::now();
            let rows = match floor {
                Floor::Single => self.single().await?,
                Floor::Naive => self.naive().await?,
                Floor::Fused => self.fused().await?,
                Floor::Batched => self.batched().await?,
            };
            count.done(since, rows);
        }
        Ok(count)
    }

    fn next(&mut self) -> i64 {
        self.turn += 1;
        self.first + self.turn % SHARE
    }

    async fn single(&mut self) -> Result<u64, sqlx::Error> {
        let resource = self.next();
        let insert = sqlx::query(SINGLE).bind(resource).bind(&*self.payload);
        insert.execute(&mut self.connection).await?;
        Ok(1)
    }

    async fn accept(&mut self, status: i16) -> Result<Option<i64>, sqlx::Error> {
        let resource = self.next();
        let accept = sqlx::query_scalar(ACCEPT).bind(resource).bind(status);
        let accept = accept.bind(&*self.payload);
        accept.fetch_optional(&mut self.connection).await
    }

    async fn finish(&mut self, id: i64) -> Result<u64, sqlx::Error> {
        let finish = sqlx::query(FINISH).bind(id);
        finish.execute(&mut self.connection).await?;
        Ok(1)
    }

    /// Claims whatever is there: of somebody else's, as often as not.
    async fn naive(&mut self) -> Result<u64, sqlx::Error> {
        self.accept(0).await?;
        let claim = sqlx::query_scalar(CLAIM).bind(1_i32);
        let claimed: Option<i64> = claim.fetch_optional(&mut self.connection).await?;
        match claimed {
            Some(id) => self.finish(id).await,
            None => Ok(0),
        }
    }

    async fn fused(&mut self) -> Result<u64, sqlx::Error> {
        match self.accept(1).await? {
            Some(id) => self.finish(id).await,
            None => Ok(0),
        }
    }

    async fn batched(&mut self) -> Result<u64, sqlx::Error> {
        let resources: Vec<i64> = (0..BATCH).map(|_| self.next()).collect();
        let accept = sqlx::query_scalar(ACCEPT_MANY).bind(resources);
        let accept = accept.bind(&*self.payload);
        let ids: Vec<i64> = accept.fetch_all(&mut self.connection).await?;
        let rows = u64::try_from(ids.len()).unwrap_or(0);
        let finish = sqlx::query(FINISH_MANY).bind(ids);
        finish.execute(&mut self.connection).await?;
        Ok(rows)
    }
}
