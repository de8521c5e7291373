//! An endpoint that keeps exactly the bytes it is sent.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use lb_tests::{netns::Namespace, wait};

use super::message::{Message, Parsed};

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An endpoint of one proxy. It ends when it is dropped.
///
/// One thread reads all connections, and answers only once a look at each found nothing more: what a proxy sent before
/// a request is recorded before that request is answered, on whatever connection it came.
pub(super) struct Recorder {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    connections: Vec<Connection>,
    messages: Vec<Message>,
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    /// `100 Continue` was sent for the request that is under way.
    continued: bool,
    is_open: bool,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    pub(super) fn start(namespace: &Namespace, address: &str) -> Self {
        let listener = namespace.enter(|| TcpListener::bind(address)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let recorder = Self { state: Arc::default(), stop: Arc::default() };
        let (state, stop) = (recorder.state.clone(), recorder.stop.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if !lock(&state).turn(&listener) {
                    wait::pause(Duration::from_millis(1));
                }
            }
        });
        recorder
    }

    /// What came since the last time, also what is not whole.
    pub(super) fn take(&self) -> Vec<Message> {
        let mut state = lock(&self.state);
        let mut messages = std::mem::take(&mut state.messages);
        messages.extend(state.connections.iter_mut().filter_map(Connection::give_up));
        messages
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl State {
    /// Reads what there is, then answers what is whole. False where there was nothing.
    fn turn(&mut self, listener: &TcpListener) -> bool {
        let mut is_busy = false;
        while self.sweep(listener) {
            is_busy = true;
        }
        for connection in &mut self.connections {
            connection.answer(&mut self.messages);
        }
        self.connections.retain(|connection| connection.is_open);
        is_busy
    }

    fn sweep(&mut self, listener: &TcpListener) -> bool {
        let before = self.connections.len();
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            self.connections.push(Connection { stream, unread: Vec::new(), continued: false, is_open: true });
        }
        let mut found = self.connections.len() > before;
        for connection in &mut self.connections {
            found |= connection.read();
        }
        found
    }
}

impl Connection {
    fn read(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        if !self.is_open {
            return false;
        }
        match self.stream.read(&mut chunk) {
            Ok(length) if length > 0 => {
                self.unread.extend(&chunk[..length]);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Ok(_) | Err(_) => {
                self.is_open = false;
                true
            }
        }
    }

    fn answer(&mut self, messages: &mut Vec<Message>) {
        while let Parsed::Whole(message, length) = Message::parse(&self.unread) {
            self.unread.drain(..length);
            self.continued = false;
            // The socket's buffer has room for all the answers of a test.
            self.is_open &= self.stream.write_all(RESPONSE).is_ok() && !message.is_last();
            messages.push(message);
        }
        if let Parsed::Part { waits_for_continue: true } = Message::parse(&self.unread)
            && !self.continued
        {
            self.continued = true;
            self.is_open &= self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok();
        }
        if !self.is_open {
            messages.extend(self.give_up());
        }
    }

    /// The beginning of a message that nobody waits for any longer.
    fn give_up(&mut self) -> Option<Message> {
        (!self.unread.is_empty()).then(|| Message::broken(std::mem::take(&mut self.unread)))
    }
}
