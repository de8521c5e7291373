//! Which host and path leads where.

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use lb_model::ingress::PathType;

use super::{Captures, Pattern, Route, path_tree::PathTree};

/// All routes.
///
/// A request goes to the best of the routes that match it: one for its very host before one for a wildcard host (`*.`
/// stands for exactly one label) before one for every host, then the longest path, then Exact before Prefix before a
/// regular expression, whose length is that of its text. Where no path of a host matches, its default backend does;
/// where nothing matches at all, the default backend of all. So a rule without a host holds for all hosts, those with
/// rules of their own included, as `IngressRule.host` of `networking/v1` says.
#[derive(Debug, Default)]
pub struct Routes {
    /// By host.
    exact: HashMap<String, HostRoutes>,
    /// By what follows `*.` in the host.
    wildcard: HashMap<String, HostRoutes>,
    /// For every host.
    any: HostRoutes,
    /// Where nothing else matches.
    default: Option<Arc<Route>>,
}

/// The route of a request.
#[derive(Debug)]
pub struct Match<'a> {
    /// Where it goes.
    pub route: &'a Arc<Route>,
    /// What of the path matched, for [`Rewrite`](super::Rewrite).
    pub captures: Captures,
}

/// The routes of one host.
#[derive(Debug, Default)]
struct HostRoutes {
    paths: PathTree,
    /// The longest first.
    patterns: Vec<(Pattern, Arc<Route>)>,
    default: Option<Arc<Route>>,
}

impl Routes {
    /// The route of a request: `host` in lower case, without a port or a dot at its end; `path` normalised, as it is
    /// sent on. None is answered 404.
    pub fn find(&self, host: &str, path: &str) -> Option<Match<'_>> {
        let parent = host.split_once('.').filter(|(label, _)| !label.is_empty()).map(|(_, parent)| parent);
        let wildcard = parent.and_then(|parent| self.wildcard.get(parent));
        [self.exact.get(host), wildcard, Some(&self.any)]
            .into_iter()
            .flatten()
            .find_map(|routes| routes.find(path))
            .or_else(|| self.default.as_ref().map(whole))
    }

    /// Adds a route by its host, path and type.
    ///
    /// # Errors
    /// The route that has the place already, and keeps it.
    pub fn insert(&mut self, route: Arc<Route>) -> Result<(), Arc<Route>> {
        self.host_mut(route.host.as_deref()).paths.insert(route)
    }

    /// Adds a route by its host and a regular expression for its path.
    ///
    /// # Errors
    /// The route that has the place already, and keeps it.
    pub fn insert_pattern(&mut self, pattern: Pattern, route: Arc<Route>) -> Result<(), Arc<Route>> {
        let patterns = &mut self.host_mut(route.host.as_deref()).patterns;
        let rank = |pattern: &Pattern| Reverse(pattern.as_str().len());
        let at = patterns.partition_point(|(other, _)| rank(other) <= rank(&pattern));
        let same = patterns[..at].iter().rev().take_while(|(other, _)| rank(other) == rank(&pattern));
        if let Some((_, owner)) = same.into_iter().find(|(other, _)| other.as_str() == pattern.as_str()) {
            return Err(owner.clone());
        }
        patterns.insert(at, (pattern, route));
        Ok(())
    }

    /// Sets where the requests for the route's host go that match none of its paths.
    ///
    /// # Errors
    /// The route that has the place already, and keeps it.
    pub fn insert_host_default(&mut self, route: Arc<Route>) -> Result<(), Arc<Route>> {
        fill(&mut self.host_mut(route.host.as_deref()).default, route)
    }

    /// Sets where the requests go that match no rule at all.
    ///
    /// # Errors
    /// The route that has the place already, and keeps it.
    pub fn insert_default(&mut self, route: Arc<Route>) -> Result<(), Arc<Route>> {
        fill(&mut self.default, route)
    }

    /// True where a rule names the host, as it is written: `*.example.org` is the wildcard itself.
    pub fn has_host(&self, host: &str) -> bool {
        match host.strip_prefix("*.") {
            Some(parent) => self.wildcard.contains_key(parent),
            None => self.exact.contains_key(host),
        }
    }

    /// All routes, those of a host in the order in which they are tried; the hosts in order, the wildcard ones behind
    /// the others, and last what holds for every host.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let sorted = |hosts| BTreeMap::from_iter(hosts).into_values();
        sorted(&self.exact)
            .chain(sorted(&self.wildcard))
            .chain([&self.any])
            .flat_map(HostRoutes::sorted)
            .chain(&self.default)
    }

    fn host_mut(&mut self, host: Option<&str>) -> &mut HostRoutes {
        let Some(host) = host else { return &mut self.any };
        let (hosts, name) = match host.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, host),
        };
        hosts.entry(name.to_owned()).or_default()
    }
}

impl HostRoutes {
    fn find(&self, path: &str) -> Option<Match<'_>> {
        let in_tree = self.paths.find(path);
        let length = in_tree.as_ref().map_or(0, |found| found.route.path.len());
        self.patterns
            .iter()
            .take_while(|(pattern, _)| pattern.as_str().len() > length)
            .find_map(|(pattern, route)| {
                let captures = if route.rewrite.is_some() {
                    pattern.captures(path)
                } else {
                    pattern.is_match(path).then_some(Captures::NONE)
                };
                captures.map(|captures| Match { route, captures })
            })
            .or(in_tree)
            .or_else(|| self.default.as_ref().map(whole))
    }

    /// In the order in which they are tried.
    fn sorted(&self) -> Vec<&Arc<Route>> {
        let mut routes: Vec<_> =
            self.paths.iter().chain(self.patterns.iter().map(|(_, route)| route)).collect();
        routes.sort_by_key(|route| {
            (Reverse(route.path.len()), route.path_type != PathType::Exact, route.pattern, route.path.clone())
        });
        routes.extend(&self.default);
        routes
    }
}

/// A default backend's route.
fn whole(route: &Arc<Route>) -> Match<'_> {
    Match { route, captures: Captures::NONE }
}

/// Fills a place that is empty.
pub(super) fn fill(place: &mut Option<Arc<Route>>, route: Arc<Route>) -> Result<(), Arc<Route>> {
    match place {
        Some(owner) => Err(owner.clone()),
        None => {
            *place = Some(route);
            Ok(())
        }
    }
}
