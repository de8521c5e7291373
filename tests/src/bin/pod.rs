//! The server inside a pod of the tests and of the demo; see `lb_tests::server`.

use std::net::IpAddr;

use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// Name to answer with.
    #[arg(long)]
    name: String,
    /// Addresses to listen on.
    #[arg(long, required = true)]
    address: Vec<IpAddr>,
    /// Port to listen on, TCP and UDP.
    #[arg(long)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let Arguments { name, address, port } = Arguments::parse();
    lb_tests::server::serve(&name, &address, port).await
}
