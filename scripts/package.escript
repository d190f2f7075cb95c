#!/usr/bin/env escript
%% -*- erlang -*-
%%! -noinput
%% package.escript collect FOLDER: copies what erlang/ram.app.src lists as `files', without tests
%%     and the crates that the library does not depend on, and takes those out of the manifests.
%% package.escript pack FOLDER TO: makes the tarball of a folder in the folder TO. Its format is
%%     that of Hex, version 3: VERSION, CHECKSUM, metadata.config and contents.tar.gz in a tar.
-mode(compile).

%% What a registry takes.
-define(PACKED_BYTES_MAX, 16 bsl 20).
-define(YEAR_2000_S, 946684800).
-define(MAP, "native/precompiled.eterm").

main(["collect", Folder]) ->
    check_map(filelib:is_regular(?MAP)),
    Crates = crates(["ram_nif"], []),
    Files = [File || Pattern <- key(files), File <- files(Pattern), is_shipped(File, Crates)],
    Manifests = [{File, crate_manifest(text(File))} || File <- Files, is_crate_manifest(File)],
    Named = lists:append([Text || {_, Text} <- Manifests]),
    lists:foreach(fun(File) -> copy(File, Folder) end, Files),
    lists:foreach(fun({File, Text}) -> write(File, Text, Folder) end,
                  [{"Cargo.toml", workspace_manifest(text("Cargo.toml"), Named)} | Manifests]);
main(["pack", Folder, To]) ->
    Files = lists:sort([File || File <- filelib:wildcard("**", Folder),
                                filelib:is_regular(filename:join(Folder, File))]),
    Contents = zlib:gzip(tar([{File, bytes(filename:join(Folder, File))} || File <- Files], To)),
    Metadata = metadata(Files),
    Sum = crypto:hash(sha256, [<<"3">>, Metadata, Contents]),
    Tar = tar([{"VERSION", <<"3">>}, {"CHECKSUM", hex(Sum)}, {"metadata.config", Metadata},
               {"contents.tar.gz", Contents}], To),
    byte_size(Tar) =< ?PACKED_BYTES_MAX orelse
        fail("the package has ~b bytes, more than ~b", [byte_size(Tar), ?PACKED_BYTES_MAX]),
    File = filename:join(To, ["ram-", key(vsn), ".tar"]),
    ok = file:write_file(File, Tar),
    io:format("package: ~ts, ~b files, ~b KiB~n", [File, length(Files), byte_size(Tar) div 1024]);
main(_) ->
    fail("usage: package.escript collect FOLDER | pack FOLDER TO", []).

fail(Format, Arguments) ->
    io:format(standard_error, "package: " ++ Format ++ "~n", Arguments),
    halt(1).

key(Key) ->
    {ok, [{application, ram, Keys}]} = file:consult("erlang/ram.app.src"),
    proplists:get_value(Key, Keys).

check_map(false) ->
    io:format("package: there is no ~s, so cargo builds the library for its users "
              "(make precompiled)~n", [?MAP]);
check_map(true) ->
    {ok, [#{version := Version}]} = file:consult(?MAP),
    binary_to_list(Version) =:= key(vsn) orelse
        fail("~s is of version ~ts, and ram of ~ts: make precompiled", [?MAP, Version, key(vsn)]).

%%% Files

files(Pattern) ->
    lists:append([case filelib:is_dir(Found) of
                      true -> [filename:join(Found, File) || File <- filelib:wildcard("**", Found)];
                      false -> [Found]
                  end || Found <- filelib:wildcard(Pattern)]).

is_shipped(File, Crates) ->
    Parts = filename:split(File),
    filelib:is_regular(File)
        andalso not lists:any(fun(Part) -> lists:member(Part, ["tests", "tests.rs"]) end, Parts)
        andalso not lists:member(filename:extension(File), [".beam", ".dump"])
        andalso case Parts of
            ["native", "ram_" ++ _ = Crate | _] -> lists:member(Crate, Crates);
            _ -> true
        end.

is_crate_manifest(File) ->
    filename:basename(File) =:= "Cargo.toml" andalso File =/= "Cargo.toml".

copy(File, Folder) ->
    write(File, bytes(File), Folder).

write(File, Bytes, Folder) ->
    To = filename:join(Folder, File),
    ok = filelib:ensure_dir(To),
    ok = file:write_file(To, unicode:characters_to_binary(Bytes)).

bytes(File) ->
    {ok, Bytes} = file:read_file(File),
    Bytes.

text(File) ->
    unicode:characters_to_list(bytes(File)).

%%% Manifests

%% The crates that these depend on, and they.
crates([], Known) ->
    Known;
crates([Crate | Rest], Known) ->
    Manifest = crate_manifest(text(filename:join(["native", Crate, "Cargo.toml"]))),
    {match, Found} = re:run(["\n", Manifest, "\nram_nif."], "\n(ram_[a-z]+)[. ]",
                            [global, {capture, all_but_first, list}]),
    New = lists:usort(lists:append(Found)) -- [Crate | Known ++ Rest],
    crates([New1 || New1 <- New, New1 =/= "ram_nif"] ++ Rest, [Crate | Known]).

%% Without what its tests need. A dependency that may be left out is for tests, too; the feature
%% that asks for it stays, since the code names it.
crate_manifest(Text) ->
    Sections = [Lines || [Header | _] = Lines <- sections(Text), not is_for_tests(Header)],
    lists:flatten(lists:join("\n", [re:replace(Line, "\"dep:[a-z_]+\"", "", [{return, list}])
                                    || Line <- lists:append(Sections),
                                       string:find(Line, "optional = true") =:= nomatch])).

is_for_tests(Header) ->
    lists:any(fun(Section) -> lists:prefix(Section, Header) end,
              ["[dev-dependencies", "[[test", "[[bench", "[[example"]).

%% Without the dependencies that no crate names, and the profiles of tests.
workspace_manifest(Text, Named) ->
    Sections = [section(Lines, Named) || [Header | _] = Lines <- sections(Text),
                                         not lists:prefix("[profile.", Header)
                                             orelse Header =:= "[profile.release]"],
    lists:flatten(lists:join("\n", lists:append(Sections))).

section(["[workspace.dependencies]" = Header | Lines], Named) ->
    [Header | [Line || Line <- Lines, Line =/= "# tests", is_named(Line, Named)]];
section(Lines, _) ->
    Lines.

is_named(Line, Named) ->
    case string:split(Line, " = ") of
        [Crate, _] -> string:find("\n" ++ Named, "\n" ++ Crate ++ ".workspace") =/= nomatch
                          orelse string:find("\n" ++ Named, "\n" ++ Crate ++ " = {") =/= nomatch;
        _ -> true
    end.

%% A section begins with its header; comments right above the header belong to it and are left out
%% with it, and so are those above one that stays: they are for who works on ram.
sections(Text) ->
    Lines = string:split(Text, "\n", all),
    lists:foldr(fun(Line, [Section | Rest]) ->
        case Line of
            "[" ++ _ -> [[], [Line | Section] | Rest];
            "#" ++ _ when Section =:= [] -> [[] | Rest];
            _ -> [[Line | Section] | Rest]
        end
    end, [[]], Lines).

%%% The tarball

metadata(Files) ->
    Pairs = [{<<"name">>, <<"ram">>},
             {<<"version">>, binary(key(vsn))},
             {<<"app">>, <<"ram">>},
             {<<"description">>, binary(key(description))},
             {<<"files">>, [binary(File) || File <- Files]},
             {<<"licenses">>, [binary(License) || License <- key(licenses)]},
             {<<"links">>, [{binary(Name), binary(Link)} || {Name, Link} <- key(links)]},
             {<<"requirements">>, []},
             {<<"build_tools">>, [<<"rebar3">>, <<"mix">>]}],
    unicode:characters_to_binary([io_lib:format("~tp.~n", [Pair]) || Pair <- Pairs]).

binary(Text) -> unicode:characters_to_binary(Text).

hex(Bytes) -> iolist_to_binary([io_lib:format("~2.16.0B", [Byte]) || <<Byte>> <= Bytes]).

%% The same bytes from the same files, whenever and by whom. Mix takes a file of 1970 for one that
%% is no newer than what it has not compiled yet.
tar(Files, Folder) ->
    Path = filename:join(Folder, ".tar"),
    {ok, Tar} = erl_tar:open(Path, [write]),
    Options = [{uid, 0}, {gid, 0} | [{Time, ?YEAR_2000_S} || Time <- [atime, mtime, ctime]]],
    lists:foreach(fun({Name, Bytes}) -> ok = erl_tar:add(Tar, Bytes, Name, Options) end, Files),
    ok = erl_tar:close(Tar),
    Bytes = bytes(Path),
    ok = file:delete(Path),
    Bytes.
