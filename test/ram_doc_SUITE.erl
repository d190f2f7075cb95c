%% The documentation in the shells: every function of ram has some, with an example, and what the
%% examples show happens. The documentation is that of the build (native/docs.escript).
-module(ram_doc_SUITE).

-include_lib("stdlib/include/assert.hrl").
-include_lib("kernel/include/eep48.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([every_function_is_documented_with_a_specification_and_an_example/1,
         types_that_are_exported_are_documented/1,
         modules_inside_are_not_documented_for_users/1,
         the_shell_of_erlang_prints_it/1,
         the_shell_of_elixir_prints_it/1,
         the_examples_happen/1,
         documentation_is_written_when_its_source_is_newer_and_only_then/1,
         without_edoc_nothing_is_written_and_nothing_said/1]).

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    %% What the hook does after a compile, for trees that are compiled without it.
    {0, _} = written([code:lib_dir(ram)], []),
    ram_case:start(Config, 4).

end_per_suite(Config) ->
    ram_case:stop(Config).

every_function_is_documented_with_a_specification_and_an_example(_Config) ->
    [begin
         Exports = [Export || {Name, _} = Export <- Module:module_info(exports),
                              Name =/= module_info],
         Documented = [{{Name, Arity}, is_map_key(signature, Meta), examples(Doc) =/= []}
                       || {{function, Name, Arity}, _, _, #{<<"en">> := Doc}, Meta} <-
                              entries(Module)],
         ?assertEqual({Module, [{Export, true, true} || Export <- lists:sort(Exports)]},
                      {Module, lists:sort([Each || {Export, _, _} = Each <- Documented,
                                                   lists:member(Export, Exports)])})
     end || Module <- [ram, ram_registry, ram_tx]].

types_that_are_exported_are_documented(_Config) ->
    [?assertMatch({Type, [_ | _]},
                  {Type, [Doc || {{type, Name, 0}, _, _, #{<<"en">> := Doc}, _} <- entries(ram),
                                 Name =:= Type]})
     || {Type, 0} <- exported_types(ram)].

exported_types(Module) ->
    {ok, {_, [{abstract_code, {_, Forms}}]}} =
        beam_lib:chunks(code:which(Module), [abstract_code]),
    lists:append([Types || {attribute, _, export_type, Types} <- Forms]).

modules_inside_are_not_documented_for_users(_Config) ->
    Chunks = filelib:wildcard(filename:join([code:lib_dir(ram), "doc", "chunks", "*.chunk"])),
    Names = [filename:basename(Chunk, ".chunk") || Chunk <- Chunks],
    ?assertEqual([], Names -- ["ram", "ram_error", "ram_mnesia", "ram_registry", "ram_tx",
                            "ram_watcher"]),
    ?assertEqual([], ["ram_error", "ram_registry", "ram_tx", "ram_watcher"] -- Names).

%% The shell sessions among the blocks of code. EDoc indents their lines by two blanks.
examples({pre, _Attributes, Content}) ->
    Text = re:replace(plain(Content), "^  ", "", [global, multiline, unicode, {return, list}]),
    [Text || ram_examples:sessions(Text) =/= []];
examples({_Tag, _Attributes, Content}) ->
    examples(Content);
examples(Contents) when is_list(Contents) ->
    lists:append([examples(Content) || Content <- Contents]);
%% As Markdown, in later OTPs.
examples(Text) ->
    {match, Blocks} = re:run([Text, "\n```erlang\n```"], "^```erlang\\n(.*?)^```",
                             [global, multiline, dotall, unicode, {capture, [1], list}]),
    [Block || [Block] <- Blocks, ram_examples:sessions(Block) =/= []].

plain({_Tag, _Attributes, Content}) -> plain(Content);
plain(Contents) when is_list(Contents) -> [plain(Content) || Content <- Contents];
plain(Text) -> Text.

entries(Module) ->
    {ok, #docs_v1{docs = Entries}} = code:get_doc(Module),
    Entries.

the_shell_of_erlang_prints_it(Config) ->
    Calls = ["h(ram)", "h(ram, put)", "h(ram, fetch, 2)", "h(ram, start_cluster)", "ht(ram)",
             "ht(ram, reads)", "h(ram_error, explain)"],
    Evals = lists:append([["-eval", lists:concat(["c:", Call])] || Call <- Calls]),
    %% The shell asks whether there shall be more, after a page.
    Answered = "yes | exec erl -noshell -pa \"$0\" \"$@\"",
    Printed = printed("sh", ["-c", Answered, ebin() | Evals ++ ["-eval", "halt()"]], Config),
    [?assertEqual({Words, Printed, true}, {Words, Printed, holds(Printed, Words)})
     || Words <- ["A consistent, distributed ETS table", "Sets the value of a key",
                  "-spec put(Key :: term(), Value :: term()) -> ok",
                  "1> ram:put({user, 1}, #{name => \"Ada\"}).", "linearizable, whatever clocks do",
                  "-type reads() :: lease | quorum | local", "Who may answer a read",
                  "Puts a reason into words"]],
    ?assertEqual({Printed, false}, {Printed, holds(Printed, "There is no documentation")}).

the_shell_of_elixir_prints_it(Config) ->
    case os:find_executable("iex") of
        false ->
            {skip, "Elixir is not installed"};
        _ ->
            Elixir = "require IEx.Helpers; import IEx.Helpers; Application.put_env(:iex, :colors, "
                "enabled: false); h :ram; h :ram.put; t :ram; h :ram.get/3",
            Ready = "Application.ensure_all_started(:iex); ",
            Printed = printed("elixir", ["-pa", ebin(), "-e", Ready ++ Elixir], Config),
            [?assertEqual({Words, Printed, true}, {Words, Printed, holds(Printed, Words)})
             || Words <- ["A consistent, distributed ETS table", "Sets the value of a key",
                          "lease_absence", "ram:put({user, 1}", "fetch/2"]]
    end.

%% Text goes over lines as wide as the window.
holds(Text, Words) ->
    string:find(squeezed(Text), squeezed(Words)) =/= nomatch.

squeezed(Text) ->
    re:replace(Text, "(\\s|\e\\[[0-9;]*m)+", "", [global, unicode, {return, list}]).

printed(Program, Arguments, Config) ->
    {0, Output} = ram_project:outcome(Program, Arguments, ram_case:folder(Config), []),
    Output.

ebin() ->
    filename:join(code:lib_dir(ram), "ebin").

%% Each in the state that setup/2 makes, one after the other.
the_examples_happen(Config) ->
    Run = run(Config),
    Evaluate = fun(Text) -> ram_peers:call(Run, 1, ram_examples, evaluate, [Text]) end,
    Sessions = [{Name, here(Session, Run, Config)}
                || {Name, Doc} <- documented(), Session <- examples(Doc)],
    ?assert(length(Sessions) > 25),
    Wrong = [{Name, Session, Mismatches}
             || {Name, Session} <- Sessions,
                ok =:= setup(Name, Run),
                [_ | _] = Mismatches <- [ram_examples:check(Session, Evaluate)]],
    ?assertEqual([], Wrong).

documented() ->
    [{Name, Doc} || Module <- [ram, ram_error, ram_registry, ram_tx],
                    {{function, Name, _}, _, _, #{<<"en">> := Doc}, _} <- entries(Module)]
        ++ [{Module, Doc} || Module <- [ram, ram_error, ram_tx],
                             {ok, #docs_v1{module_doc = #{<<"en">> := Doc}}} <-
                                 [code:get_doc(Module)]].

%% With the names and files of the test.
here(Session, Run, Config) ->
    Names = [{lists:concat(["ram", I, "@127.0.0.1"]), atom_to_list(ram_peers:node(Run, I))}
             || I <- [1, 2, 3, 4]],
    lists:foldl(fun({From, To}, Text) ->
                        unicode:characters_to_list(string:replace(Text, From, To, all))
                end, Session, [{"/backups", filename:join([ram_case:folder(Config)])} | Names]).

%% The examples of ram itself and of start_cluster begin with nothing, the others with three nodes.
setup(Name, Run) ->
    ok = ram_peers:call(Run, 1, ram_examples, forget, []),
    ok = ram_peers:call(Run, 1, stop_cluster, [ram_peers:nodes(Run)]),
    case lists:member(Name, [ram, start_cluster]) of
        true -> ok;
        false -> ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run, [1, 2, 3])])
    end.

documentation_is_written_when_its_source_is_newer_and_only_then(Config) ->
    Folder = copied(Config),
    Chunk = filename:join([Folder, "doc", "chunks", "ram.chunk"]),
    ?assertEqual({0, ""}, written([Folder], [])),
    {ok, Whole} = file:read_file(Chunk),
    ok = file:write_file(Chunk, "newer"),
    Later = calendar:gregorian_seconds_to_datetime(
              calendar:datetime_to_gregorian_seconds(calendar:local_time()) + 10),
    ok = file:change_time(Chunk, Later),
    ?assertEqual({0, ""}, written([Folder], [])),
    ?assertEqual({ok, <<"newer">>}, file:read_file(Chunk)),
    ok = file:change_time(Chunk, {{2000, 1, 1}, {0, 0, 0}}),
    ?assertEqual({0, ""}, written([Folder], [])),
    ?assertEqual({ok, Whole}, file:read_file(Chunk)).

%% As with Debian's erlang-base alone.
without_edoc_nothing_is_written_and_nothing_said(Config) ->
    Folder = copied(Config),
    Without = [{"ERL_AFLAGS", "-eval code:del_path(edoc)"}],
    ?assertEqual({0, ""}, written([Folder], Without)),
    ?assertNot(filelib:is_dir(filename:join(Folder, "doc"))),
    ?assertEqual({0, ""}, written([Folder], [])),
    ?assert(filelib:is_dir(filename:join(Folder, "doc"))).

%% A folder with what is compiled, and no documentation.
copied(Config) ->
    Folder = filename:join(ram_case:folder(Config), "ram"),
    _ = file:del_dir_r(Folder),
    ok = filelib:ensure_path(filename:join(Folder, "ebin")),
    {ok, _} = file:copy(code:which(ram), filename:join([Folder, "ebin", "ram.beam"])),
    Folder.

%% The step, run in the folder of the package.
written(Folders, Environment) ->
    ram_project:outcome("escript", ["native/docs.escript" | Folders], ram_case:root(),
                     Environment).
