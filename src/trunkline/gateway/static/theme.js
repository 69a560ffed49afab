"use strict";
// Not a module: it has to run before anything is painted, or a dark page would flash up light.
document.documentElement.dataset.theme = localStorage.getItem("trunkline-theme") || "auto";
