#!/usr/bin/env escript
%% -*- erlang -*-
%% links.escript FOLDER: does each link of its HTML pages lead to a file of the folder, and to an id
%% of that page? Links to elsewhere are counted and not followed. Ends with 1 when one is broken.
-mode(compile).

main([Folder]) ->
    Files = filelib:wildcard("**/*.html", Folder),
    Pages = maps:from_list([{File, read(filename:join(Folder, File))} || File <- Files]),
    Ids = maps:map(fun(_, Text) -> ids(Text) end, Pages),
    Links = [{File, Link} || {File, Text} <- maps:to_list(Pages), Link <- links(Text)],
    {Elsewhere, Own} = lists:partition(fun({_, Link}) -> is_elsewhere(Link) end, Links),
    Broken = lists:usort([{File, Link} || {File, Link} <- Own,
                                          not leads(Folder, File, Link, Ids)]),
    [io:format(standard_error, "docs: broken link in ~ts: ~ts~n", [File, Link])
     || {File, Link} <- Broken],
    io:format("docs: ~b pages, ~b links checked, ~b to elsewhere~n",
              [length(Files), length(Own), length(Elsewhere)]),
    length(Files) > 5 andalso length(Own) > 100 orelse fail("these are no pages of ours"),
    Broken =:= [] orelse halt(1).

fail(Why) ->
    io:format(standard_error, "docs: ~ts~n", [Why]),
    halt(1).

read(File) ->
    {ok, Text} = file:read_file(File),
    Text.

ids(Text) -> found(Text, "\\bid=\"([^\"]+)\"").

links(Text) -> found(Text, "<(?:a|link|img|script)\\b[^>]*?\\b(?:href|src)=\"([^\"]*)\"").

found(Text, Pattern) ->
    case re:run(Text, Pattern, [global, {capture, [1], list}]) of
        {match, Found} -> lists:usort(lists:append(Found));
        nomatch -> []
    end.

is_elsewhere(Link) ->
    re:run(Link, "^[a-z]+:", [{capture, none}]) =:= match.

leads(Folder, From, Link, Ids) ->
    {To, Id} = case string:split(Link, "#") of
                   [Path] -> {Path, ""};
                   [Path, Anchor] -> {Path, uri_string:percent_decode(Anchor)}
               end,
    File = target(From, hd(string:split(To, "?"))),
    filelib:is_regular(filename:join(Folder, File)) andalso
        (Id =:= "" orelse lists:member(Id, maps:get(File, Ids, []))).

target(From, "") -> From;
target(From, To) -> normalized(filename:join(filename:dirname(From), To)).

normalized(Path) ->
    Parts = lists:foldl(fun(".", Parts) -> Parts;
                           ("..", [_ | Parts]) -> Parts;
                           (Part, Parts) -> [Part | Parts]
                        end, [], filename:split(Path)),
    filename:join(lists:reverse(Parts)).
