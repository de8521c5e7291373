//! What runs inside a pod: a server that says who it is and whom it saw.
//!
//! Over TCP a client first sends a line:
//!
//! - `GET …`, as curl does: a short text in HTTP/1.0; from a proxy with the path and the client that it names;
//! - `who`: one line `<pod> <client>`, as often as it is asked;
//! - `download`: an endless [`pattern`], until the client closes;
//! - `upload`: everything that follows is compared with the pattern; at its end comes one line, `<pod> <bytes>`, or
//!   `corrupt at <byte>`.
//!
//! Over UDP every datagram is answered with `<pod> <client> <what it held>`.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, UdpSocket},
};

use crate::pattern;

/// Pause between two pieces of a download: the packet path is under test, not the speed of the machine, and several
/// tests share its cores.
const PACE: Duration = Duration::from_millis(2);
/// What UDP can carry over IPv4 (RFC 791 §3.1), which is a little less than over IPv6.
const MAX_DATAGRAM: usize = 65_507;
/// Size of a piece.
const PIECE: usize = 16 * 1024;

/// Serves TCP and UDP on one port of some addresses, for ever.
///
/// # Errors
/// Where the port is taken, or the sockets die.
pub async fn serve(name: &str, addresses: &[IpAddr], port: u16) -> io::Result<()> {
    let name: Arc<str> = name.into();
    let each = addresses.iter().map(|address| serve_address(Arc::clone(&name), (*address, port).into()));
    futures::future::try_join_all(each).await.map(drop)
}

/// A socket for each address: one for all of them would answer a datagram from whichever the route back suggests.
async fn serve_address(name: Arc<str>, address: SocketAddr) -> io::Result<()> {
    let tcp = TcpListener::bind(address).await?;
    let udp = UdpSocket::bind(address).await?;
    tokio::try_join!(accept(Arc::clone(&name), tcp), answer_datagrams(name, udp)).map(drop)
}

async fn accept(name: Arc<str>, listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, client) = listener.accept().await?;
        let name = Arc::clone(&name);
        // A client that goes away is no concern of the others.
        tokio::spawn(async move { answer(&name, client, stream).await });
    }
}

async fn answer_datagrams(name: Arc<str>, socket: UdpSocket) -> io::Result<()> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        // The kernel reports a client that has closed its socket here too.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let mut reply = format!("{name} {client} ").into_bytes();
        reply.extend_from_slice(&buffer[..length]);
        let _ = socket.send_to(&reply, client).await;
    }
}

async fn answer(name: &str, client: SocketAddr, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        match line.trim_end() {
            "who" => stream.write_all(format!("{name} {client}\n").as_bytes()).await?,
            "download" => return download(&mut stream).await,
            "upload" => return upload(name, &mut stream).await,
            request if request.starts_with("GET ") => {
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                return http(name, client, &path, &mut stream).await;
            }
            other => stream.write_all(format!("unknown request {other:?}\n").as_bytes()).await?,
        }
        line.clear();
    }
    Ok(())
}

async fn http(
    name: &str,
    client: SocketAddr,
    path: &str,
    stream: &mut BufReader<TcpStream>,
) -> io::Result<()> {
    let (mut header, mut forwarded) = (String::new(), None);
    // To the empty line that ends the headers: closing with data unread would send a reset.
    while stream.read_line(&mut header).await? > 2 {
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("x-forwarded-for")
        {
            forwarded = Some(value.trim().to_owned());
        }
        header.clear();
    }
    let body = match forwarded {
        Some(forwarded) => format!("hello from {name}: {path} for {forwarded}\n"),
        None => format!("hello from {name} (you are {client})\n"),
    };
    let head =
        format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

async fn download(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut offset = 0;
    loop {
        stream.write_all(pattern::at(offset, PIECE)).await?;
        offset += PIECE as u64;
        tokio::time::sleep(PACE).await;
    }
}

async fn upload(name: &str, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut offset = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            stream.write_all(format!("{name} {offset}\n").as_bytes()).await?;
            return stream.shutdown().await;
        }
        if let Some(position) = pattern::first_difference(offset, &buffer[..length]) {
            return stream.write_all(format!("corrupt at {position}\n").as_bytes()).await;
        }
        offset += length as u64;
    }
}
