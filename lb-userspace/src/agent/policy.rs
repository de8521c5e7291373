//! Follows the file of `--external-ip-policy`.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use lb_model::{
    object::{ObjectKey, Refusal},
    policy::ExternalIpPolicy,
};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::AgentError;
use lb_sources::policy::parse;

/// Kind and reason of a refusal.
const KIND: &str = "ExternalIpPolicy";
const INVALID: &str = "ExternalIpPolicyInvalid";
/// How often the file is read. A mounted ConfigMap changes by a symlink swap two folders away, network mounts send no
/// news at all, and an editor replaces the file: reading a small file finds all three.
const INTERVAL: Duration = Duration::from_secs(1);
/// No policy is longer; what a ConfigMap holds at most (`MaxSecretSize` in core/v1).
const LONGEST: u64 = 1 << 20;

/// The policy in force, and what is wrong with the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    /// Of the last good text.
    pub(super) policy: ExternalIpPolicy,
    /// Why the present text is not in force.
    pub(super) error: Option<Refusal>,
}

/// Reads the policy and goes on following its file; without a file, a policy that allows nothing.
///
/// # Errors
/// Where the first text is not good: nothing that was served before may be taken away for a slip of the pen, and nothing
/// here knows what that was. The kernel goes on serving it.
pub(super) fn start(
    path: Option<&Path>,
    stop: &CancellationToken,
) -> Result<watch::Receiver<Loaded>, AgentError> {
    let Some(path) = path else { return Ok(watch::channel(Loaded::default()).1) };
    let failed = |message| AgentError::Policy { path: path.to_owned(), message };
    let text = read(path).map_err(|error| failed(error.to_string()))?;
    let policy = parse(&text).map_err(failed)?;
    let (sender, loaded) = watch::channel(Loaded { policy, error: None });
    tokio::spawn(stop.clone().run_until_cancelled_owned(follow(path.to_owned(), text, sender)));
    Ok(loaded)
}

async fn follow(path: PathBuf, first: String, sender: watch::Sender<Loaded>) {
    let mut last = Ok(first);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let of = path.clone();
        // Fails only where the runtime is shutting down.
        let Ok(read) = spawn_blocking(move || read(&of).map_err(|error| error.to_string())).await else {
            return;
        };
        if read != last {
            sender.send_modify(|loaded| take(loaded, &path, &read));
            last = read;
        }
    }
}

/// What is in force after the file was read anew.
fn take(loaded: &mut Loaded, path: &Path, read: &Result<String, String>) {
    match read.as_ref().map_err(Clone::clone).and_then(|text| parse(text)) {
        Ok(policy) => {
            tracing::info!(file = %path.display(), "the external-IP policy is in force");
            *loaded = Loaded { policy, error: None };
        }
        Err(error) => loaded.error = Some(refusal(path, &error)),
    }
}

fn refusal(path: &Path, error: &str) -> Refusal {
    let file = path.display().to_string();
    Refusal {
        message: format!("external-IP policy {file}: {error}; the last good policy stays in force"),
        kind: KIND.to_owned(),
        object: ObjectKey::new("", file),
        reason: INVALID.to_owned(),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok(text)
}

/// The policy of flag and file together.
pub(super) fn combined(flag: &ExternalIpPolicy, file: &ExternalIpPolicy) -> ExternalIpPolicy {
    let mut policy = file.clone();
    policy.everywhere.splice(0..0, flag.everywhere.iter().copied());
    policy
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn allows(loaded: &Loaded, address: &str) -> bool {
        loaded.policy.allows("shop", address.parse().unwrap())
    }

    #[tokio::test]
    async fn a_mounted_config_map_is_followed_and_a_broken_text_leaves_the_last_good_one_in_force() {
        let folder = tempfile::tempdir().unwrap();
        // As kubelet's AtomicWriter lays a volume out: FILE → ..data/FILE, ..data → a folder for each version.
        let publish = |version: &str, text: &str| {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("policy.yaml"), text).unwrap();
            symlink(version, folder.path().join("..data_tmp")).unwrap();
            fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
        };
        let path = folder.path().join("policy.yaml");
        symlink("..data/policy.yaml", &path).unwrap();
        publish("..1", "externalIPs: [{cidrs: [192.0.2.1], namespaces: [shop]}]");
        let stop = CancellationToken::new();
        let mut loaded = start(Some(&path), &stop).unwrap();
        assert!(allows(&loaded.borrow(), "192.0.2.1"));

        publish("..2", "externalIPs: [{cidrs: [192.0.2.2], namespaces: [shop]}]");
        loaded.wait_for(|loaded| allows(loaded, "192.0.2.2")).await.unwrap();
        assert!(!allows(&loaded.borrow(), "192.0.2.1"));

        publish("..3", "externalIPs: [{cidr: [192.0.2.3]}]");
        let broken = loaded.wait_for(|loaded| loaded.error.is_some()).await.unwrap().clone();
        assert!(broken.error.as_ref().unwrap().message.contains("unknown field `cidr`"), "{broken:?}");
        assert!(allows(&broken, "192.0.2.2"));

        fs::remove_file(&path).unwrap();
        let gone = |loaded: &Loaded| {
            loaded.error.as_ref().is_some_and(|error| error.message.contains("No such file"))
        };
        assert!(allows(&loaded.wait_for(gone).await.unwrap(), "192.0.2.2"));
        stop.cancel();
    }

    #[tokio::test]
    async fn a_file_that_is_broken_from_the_start_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        let stop = CancellationToken::new();
        for text in [None, Some("externalIPs: 1")] {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let error = start(Some(&path), &stop).unwrap_err().to_string();
            assert!(error.contains("policy.yaml") && error.contains("--external-ip-policy"), "{error}");
        }
    }

    #[test]
    fn a_text_without_end_is_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(error, "longer than 1048576 bytes");
    }

    #[test]
    fn flag_and_file_add_up() {
        let flag = ExternalIpPolicy::everywhere(vec!["10.0.0.0/8".parse().unwrap()]);
        let file = parse("externalIPs: [{cidrs: [192.0.2.1]}, {cidrs: [192.0.2.2], namespaces: [shop]}]");
        let policy = combined(&flag, &file.unwrap());
        for address in ["10.1.1.1", "192.0.2.1", "192.0.2.2"] {
            assert!(policy.allows("shop", address.parse().unwrap()), "{address}");
        }
        assert!(!policy.allows("bank", "192.0.2.2".parse().unwrap()));
    }
}
