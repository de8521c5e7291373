//! Collecting a part, within bounds.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::parts::Source;
use crate::cli::http;

/// Bytes of a part at most: of a file its end, of a program's output its beginning.
const LARGEST: u64 = 4 << 20;
/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a program is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// What came of a part.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) bytes: Vec<u8>,
    /// More was there.
    pub(super) cut: bool,
    /// Why there is nothing, or not all.
    pub(super) error: Option<String>,
}

/// Collects a part; what goes wrong is part of it.
pub(super) fn collect(source: &Source) -> Collected {
    let collected = match source {
        Source::File(path) => end_of(path),
        Source::Command(program, arguments) => output(program, arguments),
        Source::Admin(address, path) => http::ask(*address, "GET", path, "")
            .map(|answer| Collected { bytes: answer.body.into_bytes(), ..Collected::default() }),
        Source::Values(paths) => Ok(text(paths.iter().map(|path| value(path)).collect())),
        Source::Processes => Ok(text(processes())),
    };
    collected.unwrap_or_else(|error| Collected { error: Some(error.to_string()), ..Collected::default() })
}

fn text(lines: Vec<String>) -> Collected {
    Collected { bytes: (lines.join("\n") + "\n").into_bytes(), ..Collected::default() }
}

fn end_of(path: &Path) -> io::Result<Collected> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let cut = length > LARGEST;
    if cut {
        file.seek(SeekFrom::Start(length - LARGEST))?;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Collected { bytes, cut, error: None })
}

fn value(path: &Path) -> String {
    let value = fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    format!("{} = {}", path.display(), value.trim_end())
}

/// Arguments of running programs of ours, never their environment.
fn processes() -> Vec<String> {
    let arguments = |folder: PathBuf| {
        let line = fs::read(folder.join("cmdline")).ok()?;
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let program = Path::new(words.first()?.as_ref()).file_name()?.to_string_lossy().into_owned();
        matches!(program.as_str(), "sluice" | "sluice-ingress").then(|| {
            format!("{}: {}", folder.file_name().unwrap_or_default().to_string_lossy(), words.join(" "))
        })
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| arguments(entry.path()))
        .collect()
}

fn output(program: &OsString, arguments: &[OsString]) -> io::Result<Collected> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other(format!("{} is not installed", program.display())),
        _ => error,
    })?;
    let (send, receive) = mpsc::channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    for (number, pipe) in pipes.into_iter().enumerate() {
        let send = send.clone();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // One more tells that there is more. The pipe is closed then, which ends most programs.
            let _ = pipe.map(|pipe| pipe.take(LARGEST + 1).read_to_end(&mut bytes));
            let _ = send.send((number, bytes));
        });
    }
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= end => break None,
            None => thread::park_timeout(LOOK),
        }
    };
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let mut streams = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        // Somebody whom the program started may still hold its pipes.
        if let Ok((number, bytes)) = receive.recv_timeout(LOOK * 100) {
            streams[number] = bytes;
        }
    }
    let [mut bytes, errors] = streams;
    let cut = bytes.len() as u64 > LARGEST;
    bytes.truncate(LARGEST as usize);
    let error = match status {
        None => Some(format!("did not end within {} s", PATIENCE.as_secs())),
        Some(status) if status.success() => None,
        Some(status) => {
            let errors: String = String::from_utf8_lossy(&errors).chars().take(2000).collect();
            Some(format!("{status}: {}", errors.trim_end()))
        }
    };
    Ok(Collected { bytes, cut, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Collected {
        collect(&Source::Command("sh".into(), vec!["-c".into(), script.into()]))
    }

    #[test]
    fn what_a_program_prints_is_kept_although_it_fails() {
        let collected = run("echo so far; echo trouble >&2; exit 3");
        assert_eq!(collected.bytes, b"so far\n");
        assert!(collected.error.unwrap().contains("exit status: 3: trouble"));
    }

    #[test]
    fn endless_output_is_cut() {
        let collected = run("yes");
        assert_eq!((collected.bytes.len() as u64, collected.cut), (LARGEST, true));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let program = collect(&Source::Command("sluice-no-such-program".into(), Vec::new()));
        assert_eq!(program.error.unwrap(), "sluice-no-such-program is not installed");
        assert!(collect(&Source::File("/no/such/file".into())).error.is_some());
    }

    #[test]
    fn the_end_of_a_long_file_is_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "a".repeat(LARGEST as usize) + "end").unwrap();
        let collected = collect(&Source::File(file.path().into()));
        assert!(
            collected.cut && collected.bytes.ends_with(b"end") && collected.bytes.len() as u64 == LARGEST
        );
    }
}
