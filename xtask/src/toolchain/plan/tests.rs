use super::*;

fn compiler(name: &str, llvm: u32) -> Compiler {
    Compiler {
        name: name.to_owned(),
        rustc: format!("/{name}/rustc").into(),
        cargo: format!("/{name}/cargo").into(),
        release: (1, 96),
        llvm,
    }
}

fn linker(llvm: Option<u32>) -> Linker {
    Linker { path: "/bin/bpf-linker".into(), llvm }
}

fn debian_root() -> Facts {
    Facts { debian: true, root: true, ..Facts::default() }
}

fn packages_of(plan: Plan) -> Vec<String> {
    match plan {
        Plan::Next(Step::Packages(packages)) => packages,
        other => panic!("expected packages to install, got {other:?}"),
    }
}

#[test]
fn a_nightly_with_a_linker_of_the_same_llvm_is_ready() {
    let facts = Facts {
        compilers: vec![compiler("nightly", 23), compiler("system", 22)],
        linkers: vec![linker(Some(23))],
        ..Facts::default()
    };
    let expected = Toolchain { compiler: compiler("nightly", 23), linker: linker(Some(23)) };
    assert_eq!(plan(&facts), Plan::Ready(expected));
}

#[test]
fn a_linker_too_old_for_the_nightly_makes_the_system_compiler_the_choice() {
    let facts = Facts {
        compilers: vec![compiler("nightly", 23), compiler("system", 22)],
        linkers: vec![linker(Some(22))],
        ..Facts::default()
    };
    let expected = Toolchain { compiler: compiler("system", 22), linker: linker(Some(22)) };
    assert_eq!(plan(&facts), Plan::Ready(expected));
}

#[test]
fn a_statically_linked_linker_is_taken_at_its_word() {
    let facts =
        Facts { compilers: vec![compiler("nightly", 23)], linkers: vec![linker(None)], ..Facts::default() };
    assert!(matches!(plan(&facts), Plan::Ready(_)));
}

#[test]
fn a_bare_debian_gets_the_compiler_first_because_it_decides_the_llvm() {
    assert_eq!(packages_of(plan(&debian_root())), ["rustc-web", "rust-web-src"]);
}

#[test]
fn debian_then_gets_the_llvm_of_its_compiler() {
    let facts = Facts { compilers: vec![compiler("system", 22)], ..debian_root() };
    let packages = packages_of(plan(&facts));
    assert_eq!(packages, ["llvm-22-dev", "libpolly-22-dev", "zlib1g-dev", "libzstd-dev"]);
}

#[test]
fn with_llvm_in_place_the_linker_is_built_without_being_root() {
    let facts = Facts {
        compilers: vec![compiler("system", 22)],
        linkers: vec![linker(Some(21))],
        llvm_prefixes: vec![(14, "/usr/lib/llvm-14".into()), (22, "/usr/lib/llvm-22".into())],
        debian: true,
        ..Facts::default()
    };
    let step = Step::BuildLinker { llvm: 22, prefix: "/usr/lib/llvm-22".into() };
    assert_eq!(plan(&facts), Plan::Next(step));
}

#[test]
fn without_root_debian_is_told_the_apt_command() {
    let facts = Facts { debian: true, ..Facts::default() };
    let Plan::Manual(commands) = plan(&facts) else { panic!("nothing may be installed without root") };
    assert!(commands[0].starts_with("sudo apt-get update && sudo apt-get install"), "{commands:?}");
    assert!(commands[0].ends_with("rustc-web rust-web-src"), "{commands:?}");
}

#[test]
fn elsewhere_the_rustup_commands_are_told_even_to_root() {
    let facts = Facts { root: true, ..Facts::default() };
    let Plan::Manual(commands) = plan(&facts) else { panic!("apt-get is Debian's") };
    assert!(commands[0].contains("rust-src"), "{commands:?}");
}
