//! Random routes and requests: the trees find what trying every route finds.

use proptest::{
    collection::vec,
    prelude::{Strategy, prop_oneof, proptest},
    sample::select,
};

use super::*;

/// Few names, so that rules overlap often.
fn a_path() -> impl Strategy<Value = String> {
    let element = select(vec!["a", "b", "ab", "a.b"]);
    (vec(element, 0..4), select(vec!["", "/"])).prop_map(|(elements, end)| {
        let path: String = elements.iter().map(|element| format!("/{element}")).collect();
        if path.is_empty() { "/".to_owned() } else { path + end }
    })
}

fn a_rule_host() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("*.foo.com"), Some("bar.foo.com"), Some("*.bar.foo.com"), Some("foo.com")])
}

#[derive(Clone, Debug)]
struct Rule {
    host: Option<&'static str>,
    path: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Exact,
    Prefix,
    Pattern,
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let path = prop_oneof![
        3 => (a_path(), select(vec![Kind::Exact, Kind::Prefix])),
        1 => select(vec!["/a.*", "/(a|b)/", "/a/(b|ab)/.*", "/.*b$"]).prop_map(|text| (text.to_owned(), Kind::Pattern)),
    ];
    (a_rule_host(), path).prop_map(|(host, (path, kind))| Rule { host, path, kind })
}

fn elements(path: &str) -> Vec<&str> {
    path.split('/').filter(|element| !element.is_empty()).collect()
}

impl Rule {
    fn matches(&self, host: &str, path: &str) -> bool {
        let host_matches = self.host.is_none_or(|rule| match rule.strip_prefix('*') {
            Some(end) => {
                host.strip_suffix(end).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            None => rule == host,
        });
        host_matches
            && match self.kind {
                Kind::Exact => self.path == path,
                Kind::Prefix => elements(path).starts_with(&elements(&self.path)),
                Kind::Pattern => Pattern::new(&self.path).unwrap().is_match(path),
            }
    }

    /// The greatest of the rules that match is the one.
    fn rank(&self) -> impl Ord {
        let host = self.host.map_or(0, |host| if host.starts_with('*') { 1 } else { 2 });
        let kind = match self.kind {
            Kind::Exact => 2,
            Kind::Prefix => 1,
            Kind::Pattern => 0,
        };
        (host, self.path.len(), kind)
    }

    fn insert(&self, routes: &mut Routes) {
        // The first rule of a place has it; so it is in the model.
        let _ = match self.kind {
            Kind::Exact => routes.insert(route(self.host, &self.path, Exact)),
            Kind::Prefix => routes.insert(route(self.host, &self.path, Prefix)),
            Kind::Pattern => {
                routes.insert_pattern(Pattern::new(&self.path).unwrap(), pattern(self.host, &self.path))
            }
        };
    }
}

proptest! {
    #[test]
    fn the_trees_find_what_trying_every_route_finds(
        rules in vec(a_rule(), 0..24),
        requests in vec((select(vec!["foo.com", "bar.foo.com", "baz.foo.com", "x.bar.foo.com", "org"]), a_path()), 1..16),
    ) {
        let mut routes = Routes::default();
        rules.iter().for_each(|rule| rule.insert(&mut routes));
        for (host, path) in requests {
            // The last of the greatest, so the first of the reversed rules.
            let expected =
                rules.iter().rev().filter(|rule| rule.matches(host, &path)).max_by_key(|rule| rule.rank());
            let expected = expected.map(|rule| (rule.host.map(Into::into), rule.path.as_str()));
            let found = routes.find(host, &path);
            let found = found.as_ref().map(|found| (found.route.host.clone(), &*found.route.path));
            assert_eq!(found, expected, "{host}{path}");
        }
    }
}
