%% What the documentation says is so: its examples run, its links lead somewhere, and what has to be
%% told is told. How fences are marked: ram_pages.
-module(ram_docs_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([links_of_all_pages_lead_somewhere/1,
         every_page_is_in_the_contents/1,
         every_fence_is_run_or_says_why_it_is_not/1,
         shell_sessions_answer_as_they_say/1,
         erlang_code_compiles_without_warnings/1,
         settings_are_settings_of_ram/1,
         elixir_code_runs/1,
         commands_are_commands_of_this_repository/1,
         every_setting_and_every_call_is_in_the_reference/1,
         every_variable_of_the_hook_is_known_to_it/1,
         every_key_of_the_status_is_in_the_reference/1,
         every_reason_has_an_entry/1,
         every_line_of_the_log_has_an_entry/1,
         readme_is_two_screens/1]).

%% Fences that are not run. A new one needs a reason, and room here.
-define(NOT_RUN_MAX, 1).
-define(README_LINES_MAX, 100).
-define(NODES, 4).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    ram_case:start(Config, ?NODES).

end_per_suite(Config) ->
    ram_case:stop(Config).

%%% Pages

links_of_all_pages_lead_somewhere(_Config) ->
    Links = [{Page, Link} || Page <- ["llms.txt" | ram_pages:all()], Link <- ram_pages:links(Page),
                             not is_elsewhere(Link)],
    ?assert(length(Links) > 50),
    ?assertEqual([], [Broken || {Page, Link} = Broken <- Links, not leads(Page, Link)]).

is_elsewhere(Link) ->
    lists:any(fun(Scheme) -> lists:prefix(Scheme, Link) end, ["https:", "http:", "mailto:"]).

leads(Page, Link) ->
    {File, Anchor} = case string:split(Link, "#") of
                         [To] -> {To, none};
                         [To, Name] -> {To, Name}
                     end,
    Target = case File of
                 "" -> Page;
                 _ -> normalized(filename:join(filename:dirname(Page), File))
             end,
    filelib:is_file(filename:join(ram_case:root(), Target)) andalso
        (Anchor =:= none orelse lists:member(Anchor, ram_pages:anchors(Target))).

normalized(Path) ->
    lists:foldl(fun(".", Parts) -> Parts;
                   ("..", Parts) -> filename:dirname(Parts);
                   (Part, ".") -> Part;
                   (Part, Parts) -> filename:join(Parts, Part)
                end, ".", filename:split(Path)).

every_page_is_in_the_contents(_Config) ->
    Contents = "docs/SUMMARY.md",
    Linked = [normalized(filename:join("docs", Link)) || Link <- ram_pages:links(Contents)],
    %% These are made when the pages are.
    Missing = (ram_pages:all() -- [Contents]) -- Linked,
    ?assertEqual([], Missing).

every_fence_is_run_or_says_why_it_is_not(_Config) ->
    Fences = all_fences(),
    Silent = [where(Fence) || Fence <- Fences, ram_pages:kind(Fence) =:= none,
                              not_run(Fence) =:= false],
    ?assertEqual([], Silent),
    Marked = [{where(Fence), Why} || Fence <- Fences, Why <- [not_run(Fence)], Why =/= false],
    ?assertEqual([], [Where || {Where, Why} <- Marked, length(Why) < 10]),
    ?assert(length(Marked) =< ?NOT_RUN_MAX, Marked),
    %% Those of the reports show what a run printed.
    Reports = ["docs/evidence.md", "docs/performance.md"],
    Indented = [{Page, Line} || Page <- ram_pages:with_examples() -- Reports,
                                Line <- string:split(ram_pages:prose(Page), "\n", all),
                                lists:prefix("    ", Line)],
    ?assertEqual([], Indented),
    Kinds = [{Kind, length([x || F <- Fences, ram_pages:kind(F) =:= Kind, not_run(F) =:= false])}
             || Kind <- [session, functions, terms, elixir, sh, text]],
    ct:pal("~p~nnot run: ~p", [Kinds, Marked]),
    [?assertMatch({_, Count} when Count > 0, {Kind, Count}) || {Kind, Count} <- Kinds].

all_fences() ->
    [Fence || Page <- ram_pages:with_examples(), Fence <- ram_pages:fences(Page)].

fences(Kind) ->
    [Fence || Fence <- all_fences(), ram_pages:kind(Fence) =:= Kind, not_run(Fence) =:= false].

not_run(#{marks := Marks}) ->
    proplists:get_value("not run", Marks, false).

where(#{page := Page, line := Line}) ->
    lists:concat([Page, ":", Line]).

%%% Erlang

shell_sessions_answer_as_they_say(Config) ->
    Run = run(Config),
    Sessions = fences(session),
    Wrong = [Wrong || Page <- lists:usort([Page || #{page := Page} <- Sessions]),
                      Wrong <- page(Run, [F || #{page := P} = F <- Sessions, P =:= Page])],
    ?assertEqual([], Wrong).

%% Each page begins where nothing is.
page(Run, Fences) ->
    Folder = filename:join(ram_peers:folder(Run), "page"),
    ok = filelib:ensure_path(Folder),
    Wrong = [{where(Fence), Example, Expected, Got}
             || Fence <- Fences, {Example, Expected, Got} <- session(Run, Folder, Fence)],
    [begin
         ok = ram_peers:call(Run, I, ram_examples, forget, []),
         ok = ram_peers:call(Run, I, ram, stop_cluster, [[ram_peers:node(Run, I)]])
     end || I <- lists:seq(1, ?NODES)],
    ok = file:del_dir_r(Folder),
    Wrong.

session(Run, Folder, #{text := Text, marks := Marks}) ->
    On = list_to_integer(proplists:get_value("on", Marks, "1")),
    Evaluate = fun(Code) -> ram_peers:call(Run, On, ram_examples, evaluate, [Code]) end,
    Here = fun(Code) -> lists:foldl(fun replace/2, Code, replacements(Run, Folder)) end,
    Hidden = [{Code, "", Got} || {"hidden", Code} <- Marks, Got <- [Evaluate(Here(Code))],
                                 element(1, Got) =:= raised],
    Hidden ++ ram_examples:check(Here(Text), Evaluate).

replace({What, With}, Text) ->
    lists:flatten(string:replace(Text, What, With, all)).

replacements(Run, Folder) ->
    [{"/backups", Folder}
     | [{lists:concat(["ram", I, "@127.0.0.1"]), atom_to_list(ram_peers:node(Run, I))}
        || I <- lists:seq(1, ?NODES)]].

erlang_code_compiles_without_warnings(_Config) ->
    ?assertEqual([], [{where(Fence), Said} || Fence <- fences(functions),
                                              Said <- [compiled(Fence)], Said =/= ok]).

compiled(#{text := Text}) ->
    Module = case re:run(Text, "^-module\\(", [multiline]) of
                 nomatch -> "-module(example).\n-compile([export_all, nowarn_export_all]).\n";
                 _ -> ""
             end,
    {ok, Tokens, _} = erl_scan:string(Module ++ Text, 1, [text]),
    Forms = [erl_parse:parse_form(Form) || Form <- forms(Tokens)],
    case [Error || {error, Error} <- Forms] of
        [] ->
            case compile:forms([Form || {ok, Form} <- Forms], [return]) of
                {ok, _, _, []} -> ok;
                Other -> Other
            end;
        Errors ->
            Errors
    end.

forms([]) -> [];
forms(Tokens) ->
    {Form, [Dot | Rest]} = lists:splitwith(fun(T) -> element(1, T) =/= dot end, Tokens),
    [Form ++ [Dot] | forms(Rest)].

%% sys.config, rebar.config, the environment: terms, and what is for ram is checked as at a start.
settings_are_settings_of_ram(_Config) ->
    Texts = [{where(F), terms(Text)} || #{text := Text} = F <- fences(terms)],
    Settings = [{Where, Set} || {Where, Terms} <- Texts, Term <- Terms, Set <- for_ram(Term)],
    ?assert(length(Settings) > 0),
    ?assertEqual([], [{Where, Said} || {Where, Set} <- Settings, Said <- [ram_config:check(Set)],
                                       element(1, Said) =/= ok]).

terms(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text),
    [begin {ok, Term} = erl_parse:parse_term(Form), Term end || Form <- forms(Tokens)].

for_ram(Applications) when is_list(Applications) ->
    [Set || {ram, Set} <- Applications, is_list(Set)];
for_ram(_) ->
    [].

%%% Elixir, commands

elixir_code_runs(Config) ->
    case os:find_executable("elixir") of
        false -> {skip, "Elixir is not installed"};
        Elixir -> elixir_runs(Elixir, filename:join(ram_case:folder(Config), "elixir"), Config)
    end.

elixir_runs(Elixir, Folder, Config) ->
    ok = filelib:ensure_path(Folder),
    [ok = file:write_file(filename:join(Folder, lists:concat([N, ".ex"])),
                          unicode:characters_to_binary(["# ", where(F), $\n, Text]))
     || {N, #{text := Text} = F} <- numbered(fences(elixir))],
    Script = filename:join(proplists:get_value(data_dir, Config), "run_examples.exs"),
    Face = filename:join(ram_case:root(), "lib"),
    Arguments = ["-pa", filename:join(code:lib_dir(ram), "ebin"), Script, Folder, Face],
    {Status, Output} = program(Elixir, Arguments, Folder),
    ?assertMatch({0, _}, {Status, Output}).

numbered(Items) ->
    lists:zip(lists:seq(1001, 1000 + length(Items)), Items).

program(Program, Arguments, Folder) ->
    ram_program:outcome(Program, Arguments, [{cd, Folder}]).

%% They are read by the shell and not run: those would run this test. Targets of make are there.
commands_are_commands_of_this_repository(Config) ->
    Bash = os:find_executable("bash"),
    Folder = ram_case:folder(Config),
    ?assertEqual([], [{where(Fence), Said}
                      || #{text := Text} = Fence <- fences(sh),
                         Said <- [program(Bash, ["-n", "-c", Text], Folder)], Said =/= {0, ""}]),
    {ok, Makefile} = file:read_file(filename:join(ram_case:root(), "Makefile")),
    Targets = captured(Makefile, "^([a-z-]+):"),
    Told = [{Page, Target} || Page <- ram_pages:all(),
                              Target <- captured(ram_pages:text(Page),
                                                 "(?:^ *|`)make ([a-z-]+)")],
    ?assert(length(Told) > 10),
    ?assertEqual([], [Unknown || {_, Target} = Unknown <- Told,
                                 not lists:member(Target, Targets)]).

captured(Text, Pattern) ->
    case re:run(Text, Pattern, [global, multiline, unicode, {capture, [1], list}]) of
        {match, Found} -> lists:append(Found);
        nomatch -> []
    end.

%%% What has to be told

every_setting_and_every_call_is_in_the_reference(_Config) ->
    {error, {bad_config, _, Why}} = ram_config:check([{'no key', 1}]),
    [_, Keys] = string:split(binary_to_list(Why), "the keys are "),
    Settings = names(ram_pages:rows("docs/reference/settings.md")),
    ?assertEqual([], string:lexemes(Keys, ", ") -- Settings),
    ?assertEqual([], Settings -- string:lexemes(Keys, ", ")),
    Api = [list_to_atom(Name) || Name <- names(ram_pages:rows("docs/reference/api.md"))],
    Calls = lists:usort([Name || {Name, _} <- ram:module_info(exports), Name =/= module_info]),
    ?assertEqual([], Calls -- Api).

%% The words in backticks, as far as the parenthesis.
names(Rows) ->
    lists:append([captured(Row, "`([a-z_]+)[(`]") || Row <- Rows]).

every_variable_of_the_hook_is_known_to_it(_Config) ->
    Sources = filelib:wildcard(filename:join([ram_case:root(), "native", "build", "*.erl"])),
    Texts = [Text || Source <- Sources, {ok, Text} <- [file:read_file(Source)]],
    Known = captured(iolist_to_binary(Texts), "\\b([A-Z][A-Z_]+)\\b"),
    Rows = lists:append([captured(Row, "`([A-Z_]+)`")
                         || Row <- ram_pages:rows("docs/guide/install.md")]),
    ?assert(length(Rows) > 5),
    ?assertEqual([], Rows -- Known).

every_key_of_the_status_is_in_the_reference(Config) ->
    Node = ram_peers:node(run(Config), 1),
    ok = ram_peers:call(run(Config), 1, ram, start_cluster, [[Node]]),
    Status = ram_peers:call(run(Config), 1, ram, status, []),
    ok = ram_peers:call(run(Config), 1, ram, stop_cluster, [[Node]]),
    Told = names(ram_pages:rows("docs/reference/status.md")),
    Keys = [atom_to_list(Key) || Key <- maps:keys(Status)],
    ?assert(length(Keys) > 20),
    ?assertEqual([], Keys -- Told),
    Running = lists:takewhile(fun(Row) -> Row =/= "`Why`" end,
                              ram_pages:rows("docs/reference/status.md")),
    ?assertEqual([], names(Running) -- ["key" | Keys]).

every_reason_has_an_entry(_Config) ->
    Rows = ram_pages:rows("docs/troubleshooting.md"),
    [?assertEqual({Type, []}, {Type, ram_told:untold_reasons(Type, Rows)})
     || Type <- [failure, cluster_error]].

every_line_of_the_log_has_an_entry(_Config) ->
    Lines = ram_told:log_lines(ram_case:root()),
    ?assert(length(Lines) > 25),
    Rows = ram_pages:rows("docs/troubleshooting.md"),
    ?assertEqual([], [Line || Line <- Lines, not ram_told:is_told(Line, Rows)]).

readme_is_two_screens(_Config) ->
    Lines = length(string:split(string:trim(ram_pages:text("README.md")), "\n", all)),
    ?assert(Lines =< ?README_LINES_MAX, Lines).
