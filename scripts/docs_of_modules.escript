#!/usr/bin/env escript
%% -*- erlang -*-
%% docs_of_modules.escript FOLDER MODULE...: a page for each module, module-NAME.md, of its comments
%% and types. EDoc reads them into the form that the shell shows (EEP 48); this writes Markdown.
-mode(compile).

main([Folder | Modules]) ->
    Chunks = filename:join(Folder, "chunks"),
    Sources = [filename:join("erlang", Module ++ ".erl") || Module <- Modules],
    ok = edoc:files(Sources, [{doclet, edoc_doclet_chunks}, {layout, edoc_layout_chunks},
                              {dir, Folder}, {preprocess, true}, {includes, ["erlang"]}]),
    [ok = page(Folder, Chunks, Module) || Module <- Modules],
    ok = file:del_dir_r(Chunks).

page(Folder, Chunks, Module) ->
    {ok, Binary} = file:read_file(filename:join(Chunks, Module ++ ".chunk")),
    {docs_v1, _, _, _, About, _, Entries} = binary_to_term(Binary),
    Sorted = lists:keysort(1, [{line(Anno), Entry} || {_, Anno, _, _, _} = Entry <- Entries]),
    Exports = exports(Module),
    Functions = [Entry || {_, {{function, Name, Arity}, _, _, Doc, _} = Entry} <- Sorted,
                          Doc =/= hidden, lists:member({Name, Arity}, Exports)],
    Types = [Entry || {_, {{type, _, _}, _, _, Doc, _} = Entry} <- Sorted, Doc =/= hidden],
    Text = ["# Module ", Module, "\n\n", doc(About), contents(Functions),
            section("Functions", Functions), section("Types", Types)],
    Name = filename:join(Folder, "module-" ++ Module ++ ".md"),
    file:write_file(Name, unicode:characters_to_binary(Text)).

line(Anno) -> erl_anno:line(Anno).

exports(Module) ->
    {ok, Forms} = epp:parse_file(filename:join("erlang", Module ++ ".erl"), ["erlang"], []),
    lists:append([Exports || {attribute, _, export, Exports} <- Forms]).

contents([]) -> [];
contents(Functions) ->
    ["| function | |\n|---|---|\n",
     [["| [`", name(Key), "`](#", anchor(Key), ") | ", summary(Doc), " |\n"]
      || {Key, _, _, Doc, _} <- Functions], $\n].

section(_Title, []) -> [];
section(Title, Entries) -> ["## ", Title, "\n\n", [entry(Entry) || Entry <- Entries]].

entry({Key, _, _, Doc, Meta}) ->
    Signatures = [erl_pp:attribute(Form, [{encoding, unicode}])
                  || Form <- maps:get(signature, Meta, [])],
    ["### ", name(Key), " {#", anchor(Key), "}\n\n",
     [["```erlang\n", string:trim(lists:flatten(Signatures)), "\n```\n\n"] || Signatures =/= []],
     doc(Doc)].

name({_Kind, Name, Arity}) -> lists:concat([Name, "/", Arity]).

anchor({type, Name, Arity}) -> lists:concat(["type-", Name, "-", Arity]);
anchor({function, Name, Arity}) -> lists:concat([Name, "-", Arity]).

doc(#{<<"en">> := Doc}) -> blocks(Doc, "");
doc(_) -> "".

%% The first sentence.
summary(#{<<"en">> := Doc}) ->
    First = case lists:splitwith(fun is_inline/1, Doc) of
                {[], [{_Tag, _Attributes, Content} | _]} -> Content;
                {Inline, _} -> Inline
            end,
    Text = lists:flatten(io_lib:format("~ts", [inline(First)])),
    Sentence = hd(re:split(Text, "(?<=\\.)\\s", [{return, list}, unicode])),
    string:replace(string:trim(Sentence), "|", "\\|", all);
summary(_) -> "".

%%% Blocks; `Indent' is that of the list they are in.

blocks(Content, Indent) ->
    {Inline, Rest} = lists:splitwith(fun is_inline/1, Content),
    case {string:trim(lists:flatten(io_lib:format("~ts", [inline(Inline)]))), Rest} of
        {"", []} -> [];
        {"", [Block | More]} -> [block(Block, Indent), blocks(More, Indent)];
        {Text, _} -> [indented(Text, Indent), "\n\n", blocks(Rest, Indent)]
    end.

is_inline({Tag, _, _}) -> not lists:member(Tag, [p, ul, ol, li, pre, dl, dt, dd, h1, h2, h3, h4, h5,
                                                 h6, 'div', blockquote, table]);
is_inline(_) -> true.

block({pre, _, Content}, Indent) ->
    Code = string:trim(lists:flatten(io_lib:format("~ts", [plain(Content)])), both, "\n"),
    [indented(["```erlang\n", to_the_left(Code), "\n```"], Indent), "\n\n"];
block({ul, _, Items}, Indent) -> [[item("- ", Item, Indent) || Item <- Items], $\n];
block({ol, _, Items}, Indent) -> [[item("1. ", Item, Indent) || Item <- Items], $\n];
block({Heading, _, Content}, _Indent) when Heading =:= h1; Heading =:= h2; Heading =:= h3;
                                           Heading =:= h4; Heading =:= h5; Heading =:= h6 ->
    ["#### ", inline(Content), "\n\n"];
block({_Tag, _, Content}, Indent) ->
    blocks(Content, Indent).

item(Mark, {li, _, Content}, Indent) ->
    Deeper = Indent ++ lists:duplicate(length(Mark), $\s),
    Text = string:trim(lists:flatten(io_lib:format("~ts", [blocks(Content, Deeper)]))),
    [Indent, Mark, Text, $\n].

%% In a comment code stands after a space or more.
to_the_left(Code) ->
    Lines = string:split(Code, "\n", all),
    Spaces = fun(Line) -> length(Line) - length(string:trim(Line, leading, " ")) end,
    Least = lists:min([Spaces(Line) || Line <- Lines, string:trim(Line) =/= ""]),
    lists:join($\n, [lists:nthtail(min(Least, length(Line)), Line) || Line <- Lines]).

%% All lines but blank ones.
indented(Text, Indent) ->
    Lines = string:split(lists:flatten(io_lib:format("~ts", [Text])), "\n", all),
    lists:join($\n, [case Line of "" -> ""; _ -> Indent ++ Line end || Line <- Lines]).

%%% In a line

inline(Content) -> [in_line(Part) || Part <- Content].

in_line(Text) when is_binary(Text) ->
    re:replace(Text, "[\\\\`*_\\[\\]<>|#]", "\\\\&", [global, unicode, {return, list}]);
in_line({code, _, Content}) ->
    ["`", string:trim(unicode:characters_to_list(plain(Content))), "`"];
in_line({a, Attributes, Content}) ->
    case to(Attributes) of
        none -> inline(Content);
        To -> ["[", inline(Content), "](", To, ")"]
    end;
in_line({Tag, _, Content}) when Tag =:= em; Tag =:= i -> ["*", inline(Content), "*"];
in_line({Tag, _, Content}) when Tag =:= strong; Tag =:= b -> ["**", inline(Content), "**"];
in_line({br, _, _}) -> "  \n";
in_line({_Tag, _, Content}) -> inline(Content).

plain(Content) ->
    [case Part of {_, _, Inner} -> plain(Inner); _ -> Part end || Part <- Content].

%% `module#name/1', of this module without its name; other kinds of links lead to elsewhere.
to(Attributes) ->
    Href = unicode:characters_to_list(proplists:get_value(href, Attributes, <<>>)),
    Rel = unicode:characters_to_list(proplists:get_value(rel, Attributes, <<>>)),
    case {re:run(Href, "^(?:(?:[a-z_]+:)?([a-z_]*)#)?([a-z_]+)/([0-9]+)$",
                 [{capture, [1, 2, 3], list}]), lists:reverse(Rel)} of
        {{match, [Module, Name, Arity]}, "epyt" ++ _} ->
            in_page(Module, "type-" ++ Name, Arity);
        {{match, [Module, Name, Arity]}, _} ->
            in_page(Module, Name, Arity);
        {nomatch, _} ->
            case Href of "http" ++ _ -> Href; _ -> none end
    end.

in_page("", Name, Arity) -> ["#", Name, "-", Arity];
in_page("ram" ++ _ = Module, Name, Arity) -> ["module-", Module, ".md#", Name, "-", Arity];
in_page(_Elsewhere, _Name, _Arity) -> none.
