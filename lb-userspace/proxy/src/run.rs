//! From flags to a running proxy, and to its exit code.

use std::{collections::BTreeSet, net::SocketAddr, process::ExitCode, sync::Arc, thread, time::Instant};

use clap::Parser;
use lb_model::object::{Refusal, Snapshot};
use lb_sources::{Consumer, Feed};
use tokio::{runtime, task};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Options,
    compile::{self, Cache},
    config::Config,
    drain::{self, Signals},
    dump::Dump,
    observe::{self, Admin, LogWriter, Metrics, Readiness},
    options::{AccessLog, Listen},
    serve::{Address, Shared, Threads},
    upstream::Connector,
};

/// Runs the program to its end.
pub fn main() -> ExitCode {
    let options = Options::parse();
    observe::start_logging();
    // Sources, compiling and the admin server; what serves has threads of its own.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let result = runtime
        .map_err(|source| Error::System { what: "starting the runtime", source })
        .and_then(|runtime| runtime.block_on(run(&options)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}

async fn run(options: &Options) -> Result<(), Error> {
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
        let admin = Admin { readiness: readiness.clone(), metrics: metrics.clone() };
        admin.start(address).await.map_err(|source| Error::Listen { address, flag: "--admin", source })?;
    }
    let shared = Arc::new(Shared::new(options.settings(), Connector::new()?, metrics, log));
    let threads = options.threads.map_or_else(processors, usize::from);
    let threads = Threads::start(&shared, threads, http, https)
        .map_err(|source| Error::System { what: "starting the threads that serve", source })?;
    let feed = options.source().start(Consumer::Ingress, stop.clone()).await?;
    tokio::select! {
        result = follow(feed, options, &shared, &readiness) => result?,
        () = signals.next() => {}
    }
    drain::drain(&shared, &readiness, &mut signals, options.drain_delay, options.drain_timeout).await;
    stop.cancel();
    // A thread ends within its next tick.
    let _ = task::spawn_blocking(|| threads.join()).await;
    Ok(())
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

/// Serves what the source publishes, until it ends, which it should not.
async fn follow(
    mut feed: Feed,
    options: &Options,
    shared: &Shared,
    readiness: &Readiness,
) -> Result<(), Error> {
    let mut compiler = Compiler::new(options);
    let mut known = BTreeSet::new();
    loop {
        if feed.snapshots.changed().await.is_err() {
            return Err(Error::Ended { what: "the source" });
        }
        let Some(snapshot) = feed.snapshots.borrow_and_update().clone() else { continue };
        let since = Instant::now();
        let config = compiler.compile(&snapshot);
        log_refusals(&config.refusals, &mut known);
        shared.swap(config, since);
        readiness.configured();
    }
}

/// Turns snapshots into configurations, one after the other.
struct Compiler {
    settings: compile::Settings,
    cache: Cache,
}

impl Compiler {
    fn new(options: &Options) -> Self {
        Self { settings: options.compile_settings(), cache: Cache::default() }
    }

    fn compile(&mut self, snapshot: &Snapshot) -> Config {
        compile::compile(snapshot, &self.settings, &mut self.cache)
    }
}

/// Says each refusal once, for as long as it lasts.
fn log_refusals(refusals: &[Refusal], known: &mut BTreeSet<Refusal>) {
    for refusal in refusals.iter().filter(|refusal| !known.contains(refusal)) {
        let Refusal { kind, object, reason, message } = refusal;
        tracing::warn!(kind, %object, reason, "refused: {message}");
    }
    *known = refusals.iter().cloned().collect();
}
