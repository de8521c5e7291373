//! The kernel: programs, pinned maps, devices. The only place with `unsafe` and with BPF system calls.
