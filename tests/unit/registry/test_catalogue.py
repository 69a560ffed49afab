"""What is remembered of prompts and resources."""

from __future__ import annotations

import mcp_types as types

from trunkline.registry.catalogue import Catalogue


def test_what_a_removed_server_had_is_forgotten_and_another_server_gets_the_name() -> None:
    catalogue = Catalogue()
    resource = types.Resource(name="notes", uri="mem://notes")
    template = types.ResourceTemplate(name="note", uri_template="mem://note/{id}")
    for server in ("old", "new"):
        catalogue.learn_prompts(server, "", [types.Prompt(name="greet")])
        catalogue.learn_resources(server, [resource])
        catalogue.learn_templates(server, [template])
    assert catalogue.prompt("greet") == ("old", "greet")

    catalogue.keep({"new"})
    assert (catalogue.prompt("greet"), catalogue.resource("mem://notes")) == (None, None)
    assert catalogue.resource("mem://note/7") is None

    catalogue.learn_prompts("new", "", [types.Prompt(name="greet")])
    catalogue.learn_resources("new", [resource])
    catalogue.learn_templates("new", [template])
    assert catalogue.prompt("greet") == ("new", "greet")
    assert (catalogue.resource("mem://notes"), catalogue.resource("mem://note/7")) == ("new", "new")
