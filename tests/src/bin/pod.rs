//! The server inside a pod of the tests and of the demo; see `lb_tests::server`.

use std::net::Ipv4Addr;

use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// Name to answer with.
    #[arg(long)]
    name: String,
    /// Address to listen on.
    #[arg(long, default_value_t = Ipv4Addr::UNSPECIFIED)]
    address: Ipv4Addr,
    /// Port to listen on, TCP and UDP.
    #[arg(long)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let Arguments { name, address, port } = Arguments::parse();
    lb_tests::server::serve(&name, address, port).await
}
