//! `sluice-ingress`: Kubernetes Ingress over HTTP.

use std::process::ExitCode;

fn main() -> ExitCode {
    lb_proxy::main()
}
