//! Paths of one host, by their elements: the labels between slashes (`networking/v1` HTTPIngressPath.pathType).

use std::sync::Arc;

use lb_model::ingress::PathType;

use super::{Captures, Match, Route, routes::fill};

/// A node stands for the elements on the way to it; the tree is its root.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    /// Sorted by the next element.
    children: Vec<(Box<str>, PathTree)>,
    /// Type Exact.
    exact: Ends,
    /// Type Prefix.
    prefix: Ends,
}

/// The two ways in which a path can end.
#[derive(Debug, Default)]
struct Ends {
    /// `/foo`, and `/`.
    plain: Option<Arc<Route>>,
    /// `/foo/`.
    slash: Option<Arc<Route>>,
}

impl Ends {
    fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.slash.iter().chain(&self.plain)
    }

    fn end_mut(&mut self, slash: bool) -> &mut Option<Arc<Route>> {
        if slash { &mut self.slash } else { &mut self.plain }
    }
}

impl PathTree {
    /// Adds a route by its path and type, or says which has the place.
    pub(super) fn insert(&mut self, route: Arc<Route>) -> Result<(), Arc<Route>> {
        let (elements, slash) = split(&route.path);
        let mut node = self;
        for element in elements {
            let at = match node.child(element) {
                Ok(at) => at,
                Err(at) => {
                    node.children.insert(at, (element.into(), Self::default()));
                    at
                }
            };
            node = &mut node.children[at].1;
        }
        let ends = if route.path_type == PathType::Exact { &mut node.exact } else { &mut node.prefix };
        fill(ends.end_mut(slash), route)
    }

    /// The best route for a path: the longest, Exact before Prefix where both are as long.
    ///
    /// Each step down makes every path longer than those above it, so the last node with a match has the best.
    pub(super) fn find(&self, path: &str) -> Option<Match<'_>> {
        let (elements, slash) = split(path);
        let mut node = self;
        let mut matched = 0;
        let mut best = node.longest_prefix(matched);
        for element in elements {
            let Ok(at) = node.child(element) else { return best };
            node = &node.children[at].1;
            matched += 1 + element.len();
            best = node.longest_prefix(matched).or(best);
        }
        let exact = if slash { &node.exact.slash } else { &node.exact.plain };
        let exact = exact.as_ref().map(|route| Match { route, captures: Captures::Prefix(path.len()) });
        match (&exact, &best) {
            (Some(exact), Some(prefix)) if prefix.route.path.len() > exact.route.path.len() => best,
            _ => exact.or(best),
        }
    }

    /// All routes, in no order that means anything.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = &Arc<Route>> + '_> {
        let below = self.children.iter().flat_map(|(_, child)| child.iter());
        Box::new(self.exact.iter().chain(self.prefix.iter()).chain(below))
    }

    fn longest_prefix(&self, matched: usize) -> Option<Match<'_>> {
        self.prefix.iter().next().map(|route| Match { route, captures: Captures::Prefix(matched) })
    }

    fn child(&self, element: &str) -> Result<usize, usize> {
        self.children.binary_search_by(|(other, _)| (**other).cmp(element))
    }
}

/// The elements of a path, and whether a slash follows the last one.
fn split(path: &str) -> (impl Iterator<Item = &str>, bool) {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (path, slash) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
    (path.split('/').filter(move |_| !path.is_empty()), slash)
}
