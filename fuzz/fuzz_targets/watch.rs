//! Any bytes as an API server's list and watch, see [`lb_fuzz::watch`].
#![cfg_attr(fuzzing, no_main)]

lb_fuzz::fuzz_target!(lb_fuzz::watch::run);
