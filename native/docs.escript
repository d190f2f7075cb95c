#!/usr/bin/env escript
%% -*- erlang -*-
%% docs.escript [FOLDER...]: writes the documentation of ram's public modules for the shells (EEP
%% 48, from the EDoc comments): FOLDER/doc/chunks/MODULE.chunk. Called by rebar3 and Mix after they
%% have compiled, in the folder of the package; FOLDER is where the application was compiled to, and
%% found in the environment of rebar3 when it is not given.
%%
%% A module is public when the comment at its head is documentation (@doc). Only what is older than
%% its source is written. The documentation is a convenience: where edoc is not installed this does
%% nothing, and what fails fails no build.
-mode(compile).

main(Folders) ->
    Needed = [edoc, edoc_doclet_chunks, edoc_layout_chunks, xmerl, erl_syntax],
    Missing = [Module || Module <- Needed, code:which(Module) =:= non_existing],
    Missing =:= [] andalso [write(Folder) || Folder <- compiled(Folders)],
    halt(0).

compiled([]) ->
    Roots = [Root || Name <- ["REBAR_DEPS_DIR", "REBAR_CHECKOUTS_OUT_DIR"],
                     Root <- [os:getenv(Name, "")], Root =/= ""],
    compiled([filename:join(Root, "ram") || Root <- Roots]);
compiled(Folders) ->
    [Folder || Folder <- Folders, filelib:is_regular(filename:join([Folder, "ebin", "ram.beam"]))].

write(Folder) ->
    Doc = filename:join(Folder, "doc"),
    Old = [Source || Source <- filelib:wildcard("erlang/*.erl"), is_old(Source, Doc),
                     is_public(Source)],
    %% Without `source_path', which would add all of its modules.
    Options = [{doclet, edoc_doclet_chunks}, {layout, edoc_layout_chunks}, {dir, Doc}],
    try
        ok = edoc:files(Old, Options),
        lists:foreach(fun(Source) -> as_read_here(chunk(Source, Doc)) end, Old)
    catch
        Class:Reason ->
            io:format(standard_error, "ram: no documentation for the shell: ~ts ~0tP~n",
                      [Class, Reason, 20])
    end.

is_old(Source, Doc) ->
    filelib:last_modified(chunk(Source, Doc)) =< filelib:last_modified(Source).

chunk(Source, Doc) ->
    filename:join([Doc, "chunks", filename:basename(Source, ".erl") ++ ".chunk"]).

is_public(Source) ->
    {ok, Text} = file:read_file(Source),
    %% Its head ends there.
    [Head | _] = binary:split(Text, <<"\n-module(">>),
    binary:match(Head, <<"%% @doc">>) =/= nomatch.

%% EDoc writes HTML as terms, which is all that the shell of OTP 26 and older prints. Elixir prints
%% it no more when it stands on a newer one, and both print Markdown there.
as_read_here(Chunk) ->
    case list_to_integer(erlang:system_info(otp_release)) >= 27 of
        true ->
            {ok, Bytes} = file:read_file(Chunk),
            {docs_v1, Anno, Language, _Format, Module, Meta, Docs} = binary_to_term(Bytes),
            Read = {docs_v1, Anno, Language, <<"text/markdown">>, markdown(Module), Meta,
                    [{Name, At, Signature, markdown(Doc), More}
                     || {Name, At, Signature, Doc, More} <- Docs]},
            ok = file:write_file(Chunk, term_to_binary(Read, [compressed]));
        false ->
            ok
    end.

markdown(#{} = Doc) ->
    maps:map(fun(_Language, Html) -> unicode:characters_to_binary(blocks(Html)) end, Doc);
markdown(NoneOrHidden) ->
    NoneOrHidden.

blocks(Html) when is_list(Html) -> lists:join("\n", [block(Part) || Part <- Html]);
blocks(Html) -> block(Html).

block({pre, _, Html}) -> ["```erlang\n", outdented(text(Html)), "\n```\n"];
block({ul, _, Items}) -> [["* ", item(Html), "\n"] || {li, _, Html} <- Items];
block({h1, _, Html}) -> ["# ", text(Html), "\n"];
block({h2, _, Html}) -> ["## ", text(Html), "\n"];
block({h3, _, Html}) -> ["### ", text(Html), "\n"];
block({p, _, Html}) -> [text(Html), "\n"];
block(Inline) -> [text(Inline), "\n"].

%% Its further lines stand under the first.
item(Html) ->
    lists:join("\n  ", string:split(string:trim(text(Html)), "\n", all)).

outdented(Code) ->
    re:replace(Code, "^  ", "", [global, multiline, unicode]).

text({code, _, Html}) -> ["`", text(Html), "`"];
text({em, _, Html}) -> ["*", text(Html), "*"];
text({_Tag, _, Html}) -> text(Html);
text(Html) when is_list(Html) -> [text(Part) || Part <- Html];
text(Text) -> Text.
