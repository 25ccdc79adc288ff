//! `binnacle bench`: how fast this is, measured at its front door, beside what the database can do
//! by itself.
//!
//! A round measures the floors, then every workload on a mesh of its own, then the floors again.
//! Clients and the external system run in this process, the mesh in a process of its own. What
//! is made on the way (databases, files, processes) goes away with this process, however it ends;
//! databases on a server that the user named are dropped unless this process is killed outright.

mod args;
mod cluster;
mod copy;
mod driver;
mod external;
mod floor;
mod http;
mod lane;
mod measure;
mod proc;
mod process;
mod progress;
mod report;
mod request;
mod seed;
mod server;
mod stage;
mod tracker;
mod usage;
mod workload;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
pub(crate) use args::BenchArgs;
use args::{Settings, Workload};
use binnacle_boot::Shutdown;
use progress::Progress;
use report::Report;
use server::Server;
use stage::{Backend, Site};

use crate::Misuse;
use crate::operations::say;

/// What every workload is given.
struct Bench<'a> {
    site: &'a Site,
    settings: &'a Settings,
    report: &'a Report,
    progress: &'a Progress,
}

/// Measures, and shows what was measured, also when it is interrupted.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let stop = Shutdown::new();
    stop.on_signals().context("cannot handle signals")?;
    check(&args)?;
    let directory = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    let report = Report::new(args.settings());
    let progress = Progress::new();
    let mut sites = Vec::new();
    let measured = tokio::select! {
        measured = Box::pin(measure(&args, &directory, (&report, &progress), &mut sites)) => measured,
        () = stop.cancelled() => Err(anyhow!("interrupted; the figures are those so far")),
    };
    let mut cleaned = Ok(());
    for site in &sites {
        if let Site::Postgres(_, server) = site {
            cleaned = server.clean().await;
        }
    }
    let text = report.text();
    if !text.is_empty() {
        say(&text)?;
    }
    if let Some(file) = &args.json {
        report.write_json(file)?;
    }
    if let Some(file) = &args.svg {
        report.write_svg(file)?;
    }
    measured.and(cleaned)?;
    if report.is_worthless() && !args.quick {
        bail!("nothing counts: the floors before and after differ too much; is the machine busy?");
    }
    Ok(())
}

fn check(args: &BenchArgs) -> anyhow::Result<()> {
    let backends = args.backends();
    if args.database_url.is_some() && !backends.contains(&Backend::Postgres) {
        let text = "--database-url names a PostgreSQL server, and --database leaves PostgreSQL out";
        return Err(Misuse(text.to_owned()).into());
    }
    let is_possible =
        |workload: &Workload| backends.iter().any(|backend| workload.applies_to(*backend));
    if let Some(workload) = args
        .workloads
        .iter()
        .find(|workload| !is_possible(workload))
    {
        let text = format!("{workload:?} needs PostgreSQL: add --database postgres");
        return Err(Misuse(text).into());
    }
    if let Some(directory) = args
        .directory
        .as_ref()
        .filter(|directory| !directory.is_dir())
    {
        let text = format!("{} is not a directory", directory.display());
        return Err(Misuse(text).into());
    }
    Ok(())
}

async fn measure(
    args: &BenchArgs,
    directory: &std::path::Path,
    (report, progress): (&Report, &Progress),
    sites: &mut Vec<Site>,
) -> anyhow::Result<()> {
    let settings = args.settings();
    for backend in args.backends() {
        let parent: PathBuf = directory.to_owned();
        match backend {
            Backend::Sqlite => sites.push(Site::Sqlite(parent)),
            Backend::Postgres => {
                let server = Arc::new(open(args, directory, progress).await?);
                report.set_postgres(server.settings().await?);
                sites.push(Site::Postgres(parent, server));
            }
        }
    }
    for number in 1..=args.rounds {
        for site in &*sites {
            let bench = Bench {
                site,
                settings: &settings,
                report,
                progress,
            };
            round(&bench, number, &args.chosen()).await?;
        }
    }
    Ok(())
}

async fn open(
    args: &BenchArgs,
    directory: &std::path::Path,
    progress: &Progress,
) -> anyhow::Result<Server> {
    if let Some(url) = &args.database_url {
        return Server::named(url.clone()).await;
    }
    progress.begin("PostgreSQL: starting a temporary server");
    let server = Server::temporary(directory).await?;
    if !args.quick {
        progress
            .begin("PostgreSQL: stocking its log, so that it is like one that has been running");
        server.warm_up().await?;
    }
    Ok(server)
}

async fn round(bench: &Bench<'_>, number: u32, workloads: &[Workload]) -> anyhow::Result<()> {
    let backend = bench.site.backend();
    let name = backend.name();
    bench.report.begin(backend, number);
    let length = bench.settings.floor();
    bench
        .progress
        .begin(&format!("{name}, round {number}: floors"));
    let floors = floor::measure(bench.site, length).await?;
    bench
        .report
        .with(|round| round.floors_before = Some(floors));
    for workload in workloads {
        if workload.applies_to(backend) {
            bench
                .progress
                .begin(&format!("{name}, round {number}: {workload:?}"));
            Box::pin(workload::run(bench, *workload))
                .await
                .with_context(|| format!("{workload:?} on {name}"))?;
        }
    }
    bench
        .progress
        .begin(&format!("{name}, round {number}: floors again"));
    let floors = floor::measure(bench.site, length).await?;
    bench.report.with(|round| round.floors_after = Some(floors));
    Ok(())
}
