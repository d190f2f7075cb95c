%% Programs of the operating system that tests run to their end.
-module(ram_program).

-export([outcome/3]).

%% @doc The status that it ended with, and what it printed. The options are those of open_port/2
%% that say where it runs: `cd', `env'.
-spec outcome(file:filename(), [string()],
              [{cd, string()} | {env, [{string(), string() | false}]}]) -> {integer(), string()}.
outcome(Program, Arguments, Options) ->
    Path = case filename:pathtype(Program) of
               absolute -> Program;
               _ -> os:find_executable(Program)
           end,
    Port = open_port({spawn_executable, Path},
                     [{args, Arguments}, binary, exit_status, stderr_to_stdout, hide | Options]),
    {Status, Output} = collect(Port, []),
    ct:log("~ts ~0p ended with ~b~n~ts", [Program, Arguments, Status, Output]),
    {Status, unicode:characters_to_list(Output)}.

collect(Port, Parts) ->
    receive
        {Port, {data, Part}} -> collect(Port, [Part | Parts]);
        {Port, {exit_status, Status}} -> {Status, iolist_to_binary(lists:reverse(Parts))}
    end.
