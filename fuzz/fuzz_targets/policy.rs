//! Any bytes as the file of `--external-ip-policy`, see [`lb_fuzz::policy`].
#![cfg_attr(fuzzing, no_main)]

lb_fuzz::fuzz_target!(lb_fuzz::policy::run);
