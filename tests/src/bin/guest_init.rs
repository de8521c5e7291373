//! `/init` of the tests on other kernels; see `lb_tests::guest`.

fn main() {
    lb_tests::guest::run()
}
