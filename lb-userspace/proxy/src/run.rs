//! From flags to a running proxy, and to its exit code.

use std::{collections::BTreeSet, net::SocketAddr, process::ExitCode, sync::Arc, thread};

use clap::Parser;
use lb_admin::Admin;
use lb_logging::Level;
use lb_model::ingress_class::CONTROLLER;
use lb_sources::{Consumer, Feed};
use tokio::{net::TcpListener, runtime, sync::watch, task};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Options,
    drain::{self, Signals},
    dump::Dump,
    follow::{Compiler, Follower},
    observe::{LogWriter, Metrics, Observed, Readiness},
    options::{AccessLog, Listen},
    serve::{Address, Shared, Threads},
    status::{self, Wanted},
    upstream::Connector,
};

/// Runs the program to its end.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let level = lb_logging::start();
    // Sources, compiling and the admin server; what serves has threads of its own.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let result = runtime
        .map_err(|source| Error::System { what: "starting the runtime", source })
        .and_then(|runtime| runtime.block_on(run(&options, level)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}

async fn run(options: &Options, level: Level) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    if options.dump_routes {
        let feed = options.source().start(Consumer::Ingress, stop).await?;
        return dump_routes(feed, options).await;
    }
    // Addresses first: one that is taken is found out before anything else is done.
    let http = bind(options.http, "--http")?;
    let https = bind(options.https, "--https")?;
    let log = access_log(&options.access_log)?;
    let metrics = Arc::new(Metrics::new(log.clone()));
    let readiness = Arc::<Readiness>::default();
    if let Some(address) = options.admin.0 {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| Error::Listen { address, flag: "--admin", source })?;
        let observed = Observed { readiness: readiness.clone(), metrics: metrics.clone() };
        tokio::spawn(Admin::new(Arc::new(observed), level).serve(listener));
    }
    let shared = Arc::new(Shared::new(options.settings(), Connector::new()?, metrics, log));
    let threads = options.threads.map_or_else(processors, usize::from);
    let threads = Threads::start(&shared, threads, http, https)
        .map_err(|source| Error::System { what: "starting the threads that serve", source })?;
    let mut feed = options.source().start(Consumer::Ingress, stop.clone()).await?;
    shared.metrics.follow(feed.status.clone());
    let (wanted, watched) = watch::channel(Wanted::default());
    let leads = stop.child_token();
    let status = feed.cluster.as_ref();
    let status =
        status.map(|cluster| status::start(cluster, options.status_settings(), watched, leads.clone()));
    let follower = follower(options, &feed, &shared, &readiness, wanted, &stop);
    tokio::select! {
        error = follower.run(&mut feed) => return Err(error),
        () = signals.next() => {}
    }
    // Another need not wait until the Lease has run out, nor until the last connection has ended.
    leads.cancel();
    drain::drain(&shared, &readiness, &mut signals, options.drain_delay, options.drain_timeout).await;
    stop.cancel();
    // A thread ends within its next tick.
    let _ = task::spawn_blocking(|| threads.join()).await;
    if let Some(status) = status {
        let _ = status.await;
    }
    Ok(())
}

/// What follows the source; in a cluster it writes Events.
fn follower(
    options: &Options,
    feed: &Feed,
    shared: &Arc<Shared>,
    readiness: &Arc<Readiness>,
    wanted: watch::Sender<Wanted>,
    stop: &CancellationToken,
) -> Follower {
    let announcer = feed.cluster.clone();
    let announcer = announcer.map(|cluster| cluster.announcer(CONTROLLER, &options.pod_name(), stop.clone()));
    Follower {
        compiler: Compiler::new(options),
        shared: shared.clone(),
        readiness: readiness.clone(),
        announcer,
        addresses: options.publish_address.clone(),
        own: options.pod_ip,
        wanted,
        refused: BTreeSet::new(),
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn bind(listen: Listen, flag: &'static str) -> Result<Option<Address>, Error> {
    let bind = |address: SocketAddr| {
        let bound = Address::bind(address).map_err(|source| Error::Listen { address, flag, source })?;
        let local = bound.local().map_err(|source| Error::Listen { address, flag, source })?;
        tracing::info!(%local, "listening for {flag}");
        Ok(bound)
    };
    listen.0.map(bind).transpose()
}

fn access_log(wanted: &AccessLog) -> Result<Option<LogWriter>, Error> {
    let path = match wanted {
        AccessLog::Off => return Ok(None),
        AccessLog::StandardOutput => None,
        AccessLog::File(path) => Some(path.clone()),
    };
    let writer = LogWriter::start(path.clone());
    writer.map(Some).map_err(|source| Error::AccessLog { path: path.unwrap_or_else(|| "-".into()), source })
}

/// Prints what would be served.
async fn dump_routes(mut feed: Feed, options: &Options) -> Result<(), Error> {
    let first = feed.snapshots.wait_for(Option::is_some).await;
    let snapshot = first.ok().and_then(|snapshot| snapshot.clone());
    let snapshot = snapshot.ok_or(Error::Ended { what: "the source" })?;
    let config = Compiler::new(options).compile(&snapshot);
    print!("{}", Dump(&config));
    Ok(())
}
