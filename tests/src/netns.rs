//! Named network namespaces that live as long as their owner.
//!
//! Commands and closures enter by `setns(CLONE_NEWNET)` alone: `ip netns exec` would also remount `/sys` and with it
//! hide the BPF file system.

use std::{
    fs::{self, File},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    panic,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, bail};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Where iproute2 looks for names, so that `ip -n NAME` and `nsenter --net` work too.
const RUN_DIR: &str = "/run/netns";
/// What every name of a test starts with; the owner's process id follows.
const TEST_PREFIX: &str = "sluice-test-";

/// A name that no other network of this machine uses now: `sluice-test-<pid>-<number>`.
pub fn unique_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{TEST_PREFIX}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The process that a [`unique_name`] belongs to.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(TEST_PREFIX)?.split('-').next()?.parse().ok()
}

/// A network namespace, deleted on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: OwnedFd,
}

impl Namespace {
    /// Makes a namespace with its loopback device up.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or where the name is taken.
    pub fn create(name: &str) -> Result<Self> {
        let path = Path::new(RUN_DIR).join(name);
        fs::create_dir_all(RUN_DIR)?;
        File::create_new(&path).with_context(|| format!("namespace {name} exists already"))?;
        // A namespace belongs to a thread first; the bind mount gives it a name and a life of its own.
        let made = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let own = Some("/proc/thread-self/ns/net");
            mount(own, &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        });
        if let Err(error) = made {
            let _ = fs::remove_file(&path);
            return Err(error).with_context(|| format!("cannot make network namespace {name}"));
        }
        let namespace = Self { name: name.into(), handle: File::open(&path)?.into() };
        namespace.run("ip", &["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip -n` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file, as `nsenter --net=` takes it.
    pub fn path(&self) -> PathBuf {
        Path::new(RUN_DIR).join(&self.name)
    }

    /// A command that will run inside.
    ///
    /// # Errors
    /// Where the process has no file descriptor left.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let handle = self.handle.try_clone()?;
        let mut command = Command::new(program);
        let enter = move || setns(handle.as_fd(), CloneFlags::CLONE_NEWNET).map_err(Into::into);
        // SAFETY: between fork and exec the closure makes one system call, and allocates nothing.
        unsafe { command.pre_exec(enter) };
        // Ctrl-C is for the harness, which then stops its children in order.
        command.process_group(0);
        Ok(command)
    }

    /// Runs a command to its end and returns what it printed.
    ///
    /// # Errors
    /// Where it cannot be started or fails; the message holds its standard error.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.run_with_input(program, arguments, "")
    }

    /// As [`run`](Self::run), with a text for its standard input.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with_input(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = self.command(program)?;
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            std::io::Write::write_all(&mut stdin, input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {program} {}: {}: {}", self.name, arguments.join(" "), output.status, error.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs several `ip` commands, one a line.
    ///
    /// # Errors
    /// At the first that fails.
    pub fn ip(&self, lines: &str) -> Result<()> {
        self.run_with_input("ip", &["-batch", "-"], lines).map(drop)
    }

    /// Sets a network sysctl of this namespace, named by its path under `/proc/sys/net`.
    ///
    /// # Errors
    /// Where the kernel has no such setting or refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(name);
        self.enter(|| fs::write(&path, value)).with_context(|| format!("{}: {name}", self.name))
    }

    /// Runs a closure inside, on a thread of its own.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        on_thread(|| {
            enter_by(&self.handle);
            inside()
        })
    }

    /// Runs a future inside to its end; tasks that it spawns live inside too.
    pub fn block_on<F: Future<Output: Send>>(&self, inside: impl FnOnce() -> F + Send) -> F::Output {
        self.enter(|| run_future(inside))
    }

    /// Starts a future inside and returns at once.
    ///
    /// # Errors
    /// Where the process has no file descriptor left.
    pub fn spawn<F>(&self, inside: impl FnOnce() -> F + Send + 'static) -> Result<JoinHandle<F::Output>>
    where
        F: Future<Output: Send + 'static>,
    {
        let handle = self.handle.try_clone()?;
        Ok(thread::spawn(move || {
            enter_by(&handle);
            run_future(inside)
        }))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Deletes what dead processes left behind: namespaces with the processes inside, and pin directories.
pub fn remove_stale() {
    let dead = |name: &str| owner(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
    for name in names_in(RUN_DIR).into_iter().filter(|name| dead(name)) {
        remove(&name);
    }
    for name in names_in(crate::BPFFS).into_iter().filter(|name| dead(name)) {
        let _ = fs::remove_dir_all(Path::new(crate::BPFFS).join(name));
    }
}

/// Kills every process inside a namespace that the harness made and deletes it.
pub fn remove(name: &str) {
    if let Ok(namespace) = fs::metadata(Path::new(RUN_DIR).join(name)) {
        for pid in names_in("/proc").into_iter().filter_map(|entry| entry.parse::<i32>().ok()) {
            let inside = fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|own| (own.dev(), own.ino()) == (namespace.dev(), namespace.ino()));
            if inside {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
    delete(name);
}

/// Names of all namespaces that start with `prefix`.
pub fn list(prefix: &str) -> Vec<String> {
    names_in(RUN_DIR).into_iter().filter(|name| name.starts_with(prefix)).collect()
}

fn delete(name: &str) {
    let path = Path::new(RUN_DIR).join(name);
    let _ = umount2(&path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(&path);
}

fn names_in(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Panics where the namespace cannot be entered: code that was meant for it must not run anywhere else.
fn enter_by(handle: &OwnedFd) {
    if let Err(error) = setns(handle, CloneFlags::CLONE_NEWNET) {
        panic!("cannot enter a network namespace: {error}");
    }
}

/// Namespaces belong to threads: the closure gets one that ends with it.
fn on_thread<T: Send>(inside: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(inside).join() {
        Ok(value) => value,
        Err(panic) => panic::resume_unwind(panic),
    })
}

fn run_future<F: Future>(inside: impl FnOnce() -> F) -> F::Output {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async { inside().await }),
        Err(error) => panic!("cannot start a runtime: {error}"),
    }
}
