//! `sluice top` over a live data plane, its agent dead: as tables, and on a terminal.
#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use lb_tests::{agent::Agent, skip, unattended::Unattended, wait};
use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};

#[test]
fn services_are_watched_with_the_agent_dead() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let unattended = Unattended::start().unwrap();
    let agent = unattended.agent();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                unattended.traffic().unwrap();
            }
        });
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tables_are_printed_without_a_terminal(agent);
            a_key_ends_it_and_the_terminal_is_as_it_was(agent);
            a_signal_gives_the_terminal_back(agent);
        }));
        done.store(true, Ordering::Relaxed);
        shown.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn tables_are_printed_without_a_terminal(agent: &Agent) {
    let text = agent.sluice(&["top", "--iterations", "2", "--interval", "0.5"]).unwrap();
    let tables: Vec<Vec<&str>> = text.split("\n\n").map(|table| table.lines().collect()).collect();
    assert_eq!(tables.len(), 2, "{text}");
    for table in tables {
        let [summary, headers, web, _udp] = table[..] else { panic!("{text}") };
        assert!(summary.starts_with("services 2, new flows "), "{text}");
        assert!(summary.contains("drops ") && summary.contains(": unknown-port "), "{text}");
        assert!(headers.starts_with("NAME  PORT  PACKETS/S"), "{text}");
        let cells: Vec<&str> = web.split_whitespace().collect();
        assert_eq!((cells[0], cells[1], *cells.last().unwrap()), ("web", "tcp", "4"), "{text}");
        let rate: f64 = cells[2].parse().unwrap();
        let opened: f64 = cells[6].parse().unwrap();
        assert!(rate > 0.0 && opened > 0.0, "{text}");
    }
    let all = agent.sluice(&["top", "-A", "--once", "--interval", "0.2", "--sort", "name"]).unwrap();
    assert!(all.lines().nth(1).unwrap().starts_with("NAMESPACE  NAME"), "{all}");
    let none = agent.sluice(&["top", "-n", "elsewhere", "--once", "--interval", "0.2"]).unwrap();
    assert_eq!(none.lines().count(), 2, "{none}");
}

/// A terminal, and what was drawn on it so far.
struct Terminal {
    keyboard: File,
    side: std::os::fd::OwnedFd,
    drawn: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn new() -> Self {
        let size = Winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let keyboard = File::from(pty.master);
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, drawing) = (keyboard.try_clone().unwrap(), Arc::clone(&drawn));
        // Ends with the last descriptor of the other side.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                drawing.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { keyboard, side: pty.slave, drawn }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.drawn.lock().unwrap()).into_owned()
    }

    fn run(&self, agent: &Agent) -> std::process::Child {
        let side = || std::process::Stdio::from(self.side.try_clone().unwrap());
        let mut command = agent.command(&["top", "--interval", "0.2"]).unwrap();
        command.env("TERM", "xterm").stdin(side()).stdout(side()).stderr(side());
        command.spawn().unwrap()
    }

    /// True while keys are echoed and lines edited, as a shell needs it.
    fn is_cooked(&self) -> bool {
        tcgetattr(&self.side).unwrap().local_flags.contains(LocalFlags::ECHO | LocalFlags::ICANON)
    }
}

const ENTER_SCREEN: &str = "\x1b[?1049h";
const LEAVE_SCREEN: &str = "\x1b[?1049l";

fn a_key_ends_it_and_the_terminal_is_as_it_was(agent: &Agent) {
    for key in [b"q".as_slice(), b"\x03"] {
        let mut terminal = Terminal::new();
        let mut top = terminal.run(agent);
        wait::until_true("the table is drawn", || terminal.text().contains("unknown-port")).unwrap();
        assert!(terminal.text().contains(ENTER_SCREEN) && !terminal.is_cooked());
        terminal.keyboard.write_all(key).unwrap();
        let status = wait::until("it ends", || top.try_wait().unwrap()).unwrap();
        assert!(status.success(), "{status}");
        wait::until_true("the screen is left", || terminal.text().contains(LEAVE_SCREEN)).unwrap();
        assert!(terminal.is_cooked());
    }
}

fn a_signal_gives_the_terminal_back(agent: &Agent) {
    let terminal = Terminal::new();
    let mut top = terminal.run(agent);
    wait::until_true("the table is drawn", || terminal.text().contains("PACKETS/S")).unwrap();
    kill(Pid::from_raw(top.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(wait::until("it ends", || top.try_wait().unwrap()).unwrap().success());
    assert!(terminal.is_cooked());
}
