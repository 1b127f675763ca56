//! Holds pages against what a browser, and a person in front of it, need.
