//! The commands that run roles.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use binnacle_boot::grpc::Peers;
use clap::Args;

use super::option::{
    CallArgs, CommonArgs, DataDirArgs, DatabaseArgs, RegistryArgs, WorkerArgs, address,
};

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Address for GraphQL, poll URLs, health and metrics; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3000", value_parser = address, env = "BINNACLE_GATEWAY_ADDR")]
    pub(crate) gateway_addr: SocketAddr,
    /// Address of the gateway for the other roles (gRPC)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50050", value_parser = address, env = "BINNACLE_DIRECTOR_ADDR")]
    pub(crate) director_addr: SocketAddr,
    /// Address of the scheduler (gRPC)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50051", value_parser = address, env = "BINNACLE_SCHEDULER_ADDR")]
    pub(crate) scheduler_addr: SocketAddr,
    /// Address of the webhook executor (gRPC)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50052", value_parser = address, env = "BINNACLE_EXECUTOR_ADDR")]
    pub(crate) executor_addr: SocketAddr,
    /// Address of the role `operations`, for health and metrics
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3010", value_parser = address, env = "BINNACLE_OPERATIONS_ADDR")]
    pub(crate) operations_addr: SocketAddr,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
    #[command(flatten)]
    pub(crate) calls: CallArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl UpArgs {
    /// Everything on free ports of loopback, with its data in `directory`; nothing of it comes
    /// from the environment.
    pub(crate) fn scratch(directory: &Path) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            gateway_addr: free,
            director_addr: free,
            scheduler_addr: free,
            executor_addr: free,
            operations_addr: free,
            registry: RegistryArgs::default(),
            worker: WorkerArgs {
                worker_capacity: 64,
            },
            calls: CallArgs {
                executor_capacity: 64,
                exchange_timeout: Duration::from_secs(10),
            },
            database: DatabaseArgs::embedded(directory),
            common: CommonArgs::quiet(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// Address to listen on for GraphQL, poll URLs, health and metrics; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3000", value_parser = address, env = "BINNACLE_GATEWAY_ADDR")]
    pub(crate) gateway_addr: SocketAddr,
    /// Address to listen on for the other roles (gRPC)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50050", value_parser = address, env = "BINNACLE_DIRECTOR_ADDR")]
    pub(crate) director_addr: SocketAddr,
    /// Where the schedulers are: a list, or a name for all its addresses
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:50051",
        env = "BINNACLE_SCHEDULER_ADDR"
    )]
    pub(crate) scheduler_addr: Peers,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SchedulerArgs {
    /// Address to listen on (gRPC); port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50051", value_parser = address, env = "BINNACLE_SCHEDULER_ADDR")]
    pub(crate) scheduler_addr: SocketAddr,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutorArgs {
    /// Address to listen on (gRPC); port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50052", value_parser = address, env = "BINNACLE_EXECUTOR_ADDR")]
    pub(crate) executor_addr: SocketAddr,
    #[command(flatten)]
    pub(crate) calls: CallArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OperationsServiceArgs {
    /// Address to listen on for health and metrics; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3010", value_parser = address, env = "BINNACLE_OPERATIONS_ADDR")]
    pub(crate) operations_addr: SocketAddr,
    /// Where the schedulers are: a list, or a name for all its addresses
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:50051",
        env = "BINNACLE_SCHEDULER_ADDR"
    )]
    pub(crate) scheduler_addr: Peers,
    /// Where the webhook executors are
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:50052",
        env = "BINNACLE_EXECUTOR_ADDR"
    )]
    pub(crate) executor_addr: Peers,
    /// Where the gateways are, by their address for the other roles
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:50050",
        env = "BINNACLE_DIRECTOR_ADDR"
    )]
    pub(crate) director_addr: Peers,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
    #[command(flatten)]
    pub(crate) data: DataDirArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}
