//! All roles, in one process or each in processes of its own.

use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use binnacle_proto::scheduler::v1::scheduler_service_client::SchedulerServiceClient;
use binnacle_test_support::{Postgres, Scratch, scratch};
use tonic::transport::{Channel, Endpoint};

use super::{Gateway, Process};

/// Which database the services use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Sqlite,
    Postgres,
}

/// How many processes of each role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replicas {
    pub(crate) gateways: usize,
    pub(crate) schedulers: usize,
    pub(crate) operations: usize,
    pub(crate) executors: usize,
}

impl Replicas {
    pub(crate) const ONE_EACH: Self = Self::each(1);

    pub(crate) const fn each(count: usize) -> Self {
        Self {
            gateways: count,
            schedulers: count,
            operations: count,
            executors: count,
        }
    }
}

/// Processes that make up one mesh. Dropping it kills them; after a panic their last words are shown.
pub(crate) struct Mesh {
    processes: Vec<Process>,
    /// What every process is told.
    common: Vec<String>,
    database: Option<String>,
    host: String,
    directory: Scratch,
}

impl Mesh {
    /// A mesh without processes, on a database of its own.
    pub(crate) fn empty(storage: Storage) -> Self {
        match storage {
            Storage::Sqlite => Self::on(None),
            Storage::Postgres => Self::on(Some(Postgres::shared().create_database())),
        }
    }

    /// A mesh without processes on the database at this URL; `None`: SQLite.
    pub(crate) fn on(database: Option<String>) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = std::process::id().to_be_bytes();
        Self {
            processes: Vec::new(),
            common: Vec::new(),
            database,
            // All of 127.0.0.0/8 is this machine. 0 to 63 are left to everybody else.
            host: format!("127.{}.{low}.{count}", 64 + high % 128),
            directory: scratch(),
        }
    }

    /// Gives every process that is added from now on these arguments as well.
    pub(crate) fn telling<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.common.extend(arguments.map(str::to_owned));
        self
    }

    /// All roles in one process, running.
    pub(crate) async fn up(storage: Storage) -> Self {
        let mut mesh = Self::empty(storage);
        mesh.add_up();
        mesh.start_all().await;
        mesh
    }

    /// Each role in processes of its own, running. SQLite takes one gateway and one scheduler.
    pub(crate) async fn roles(storage: Storage, replicas: Replicas) -> Self {
        let mut mesh = Self::empty(storage);
        mesh.start_roles(replicas).await;
        mesh
    }

    /// Adds all roles in one process, named `up`, not started.
    pub(crate) fn add_up(&mut self) -> &mut Process {
        let process = self.process_of("up", "up").listens(&[
            "gateway",
            "director",
            "scheduler",
            "executor",
            "operations",
        ]);
        let process = self.stored(process);
        self.add(process)
    }

    /// Adds and starts each role, in the order in which they have to know of one another.
    pub(crate) async fn start_roles(&mut self, replicas: Replicas) {
        self.start_roles_with(replicas, "", "").await;
    }

    /// As [`start_roles`](Self::start_roles), with one process armed.
    pub(crate) async fn start_roles_with(
        &mut self,
        replicas: Replicas,
        victim: &str,
        failpoint: &str,
    ) {
        let Replicas {
            gateways,
            schedulers,
            operations,
            executors,
        } = replicas;
        for number in 1..=schedulers {
            self.add_scheduler(&format!("scheduler-{number}"));
        }
        for number in 1..=executors {
            self.add_executor(&format!("executor-{number}"));
        }
        self.arm(victim, failpoint);
        self.start_all().await;
        for number in 1..=gateways {
            self.add_gateway(&format!("gateway-{number}"));
        }
        self.arm(victim, failpoint);
        self.start_all().await;
        for number in 1..=operations {
            self.add_operations(&format!("operations-{number}"));
        }
        self.arm(victim, failpoint);
        self.start_all().await;
    }

    fn arm(&mut self, victim: &str, failpoint: &str) {
        let victim = self.processes.iter_mut().find(|p| p.name == victim);
        if let Some(victim) = victim {
            victim.arm(failpoint);
        }
    }

    pub(crate) fn add_scheduler(&mut self, name: &str) -> &mut Process {
        let process = self.process_of(name, "scheduler").listens(&["scheduler"]);
        let process = self.stored(process);
        self.add(process)
    }

    pub(crate) fn add_executor(&mut self, name: &str) -> &mut Process {
        let process = self.process_of(name, "executor").listens(&["executor"]);
        self.add(process)
    }

    pub(crate) fn add_gateway(&mut self, name: &str) -> &mut Process {
        let process = self
            .process_of(name, "gateway")
            .listens(&["gateway", "director"])
            .arguments(["--scheduler-addr".to_owned(), self.addresses("scheduler")]);
        let process = self.stored(process);
        self.add(process)
    }

    /// Knows the schedulers, executors and gateways that were started before.
    pub(crate) fn add_operations(&mut self, name: &str) -> &mut Process {
        let process = self
            .process_of(name, "operations")
            .listens(&["operations"])
            .arguments(["--scheduler-addr".to_owned(), self.addresses("scheduler")])
            .arguments(["--executor-addr".to_owned(), self.addresses("executor")])
            .arguments(["--director-addr".to_owned(), self.addresses("director")]);
        let data = process.data().display().to_string();
        self.add(process.arguments(["--data-dir".to_owned(), data]))
    }

    fn process_of(&self, name: &str, role: &str) -> Process {
        Process::new(name, self.directory.path(), &self.host)
            .arguments([role])
            .arguments(self.common.iter().cloned())
    }

    fn stored(&self, process: Process) -> Process {
        let data = process.data().display().to_string();
        let process = process.arguments(["--data-dir".to_owned(), data]);
        match &self.database {
            Some(url) => process.arguments(["--database-url".to_owned(), url.clone()]),
            None => process,
        }
    }

    fn add(&mut self, process: Process) -> &mut Process {
        self.processes.push(process);
        self.processes.last_mut().unwrap()
    }

    /// The addresses of a role, as its peers take them.
    fn addresses(&self, name: &str) -> String {
        let addresses: Vec<_> = self
            .processes
            .iter()
            .filter_map(|process| process.bound(name))
            .map(|address| address.to_string())
            .collect();
        assert!(!addresses.is_empty(), "no {name} was started");
        addresses.join(",")
    }

    /// Starts every process that does not run, all at once, and waits until they are ready.
    pub(crate) async fn start_all(&mut self) {
        let down = self
            .processes
            .iter_mut()
            .filter(|process| !process.is_running());
        let mut starting: Vec<_> = down.collect();
        for process in &mut starting {
            process.launch();
        }
        for process in starting {
            process.ready().await;
        }
    }

    pub(crate) fn process(&mut self, name: &str) -> &mut Process {
        self.processes
            .iter_mut()
            .find(|process| process.name == name)
            .unwrap_or_else(|| panic!("there is no process {name}"))
    }

    pub(crate) fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        self.processes.iter_mut()
    }

    /// Where the first process that serves `name` does.
    pub(crate) fn address(&self, name: &str) -> std::net::SocketAddr {
        self.processes
            .iter()
            .find_map(|process| process.bound(name))
            .unwrap_or_else(|| panic!("nobody serves {name}"))
    }

    /// A client of the first gateway.
    pub(crate) fn gateway(&self) -> Gateway {
        Gateway::new(self.address("gateway"))
    }

    /// A client of every gateway.
    pub(crate) fn gateways(&self) -> Vec<Gateway> {
        self.processes
            .iter()
            .filter_map(|process| process.bound("gateway"))
            .map(Gateway::new)
            .collect()
    }

    /// Runs a statement on the mesh's PostgreSQL database.
    pub(crate) fn sql(&self, statement: &str) {
        let output = Command::new(Postgres::shared().binaries().join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .arg(self.database.as_ref().unwrap())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}: {error}");
    }

    /// A client of the first scheduler, connected when it is first used.
    pub(crate) fn scheduler(&self) -> SchedulerServiceClient<Channel> {
        let address = self.address("scheduler");
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy();
        SchedulerServiceClient::new(channel).max_decoding_message_size(64 * 1024 * 1024)
    }
}
