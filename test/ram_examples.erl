%% Shell sessions of documentation, run and compared: blocks of text such as
%%
%%     1> ram:put(k, #{a => 1}).
%%     ok
%%     2> ram:status().
%%     #{role => leader, ...}
%%
%% What a line with a prompt begins is evaluated, up to the next prompt or to what it answered. An
%% answer is compared as a term; `...' in it stands for anything, and at the end of a map for more
%% keys. After `**' stands what the shell prints of an exception.
-module(ram_examples).

-export([sessions/1, check/2, evaluate/1, forget/0]).

-type example() :: {Expression :: string(), Expected :: string()}.
-type result() :: {value, term()} | {raised, string()}.

%% @doc The expressions of a block with their answers.
-spec sessions(unicode:chardata()) -> [example()].
sessions(Block) ->
    Lines = string:split(unicode:characters_to_list(Block), "\n", all),
    examples(lists:dropwhile(fun(Line) -> prompt(Line) =:= none end, Lines)).

examples([]) ->
    [];
examples([First | Lines]) ->
    {Own, Rest} = lists:splitwith(fun(Line) -> prompt(Line) =:= none end, Lines),
    {Expression, Answer} = expression([prompt(First)], Own),
    [{Expression, string:trim(lists:flatten(lists:join("\n", Answer)))} | examples(Rest)].

%% It goes on for as many lines as it takes to its end, a full stop.
expression(Taken, Lines) ->
    Text = lists:flatten(lists:join("\n", lists:reverse(Taken))),
    case {is_whole(Text), Lines} of
        {false, [Next | More]} -> expression([Next | Taken], More);
        _ -> {Text, Lines}
    end.

is_whole(Text) ->
    case erl_scan:string(Text) of
        {ok, Tokens, _} when Tokens =/= [] -> element(1, lists:last(Tokens)) =:= dot;
        _ -> false
    end.

prompt(Line) ->
    case re:run(Line, "^(?:\\([^)]*\\))?[0-9]+> (.*)$", [{capture, [1], list}, unicode]) of
        {match, [Rest]} -> Rest;
        nomatch -> none
    end.

%% @doc The examples of a block whose answer is another one. Evaluate is evaluate/1, called where
%% the block is to run.
-spec check(unicode:chardata(), fun((string()) -> result())) -> [{string(), string(), result()}].
check(Block, Evaluate) ->
    [{Expression, Expected, Got} || {Expression, Expected} <- sessions(Block),
                                    Got <- [Evaluate(Expression)],
                                    not agrees(Expected, Got)].

agrees("", {value, _}) ->
    true;
agrees("** " ++ Expected, {raised, Text}) ->
    is_part(words(Expected), words(Text));
agrees(Expected, {value, Value}) ->
    case string:find(Expected, "...") of
        nomatch -> holds("Expected =:= (" ++ Expected ++ ").", Value);
        _ -> holds("case Expected of " ++ pattern(Expected) ++ " -> true; _ -> false end.", Value)
    end;
agrees(_Expected, _Result) ->
    false.

pattern(Expected) ->
    Options = [global, {return, list}, unicode],
    lists:foldl(fun({What, With}, Text) -> re:replace(Text, What, With, Options) end, Expected,
                [{"=>", ":="}, {"<<\\s*\\.\\.\\.\\s*>>", "_"},
                 {"(#\\{[^{}]*),\\s*\\.\\.\\.\\s*\\}", "\\1}"},
                 {"\\.\\.\\.", "_"}]).

holds(Text, Value) ->
    try
        {ok, Tokens, _} = erl_scan:string(Text),
        {ok, Expressions} = erl_parse:parse_exprs(Tokens),
        {value, true, _} = erl_eval:exprs(Expressions, [{'Expected', Value}]),
        true
    catch
        error:{badmatch, _} -> false
    end.

words(Text) ->
    lists:append(string:lexemes(Text, " \n\t")).

%% Is it there, with anything where it has `...'?
is_part(Expected, Text) ->
    lists:foldl(fun(_Part, nomatch) -> nomatch;
                   (Part, Rest) -> after_part(string:split(Rest, Part))
                end, Text, string:split(Expected, "...", all)) =/= nomatch.

after_part([_, Rest]) -> Rest;
after_part([_]) -> nomatch.

%% @doc Evaluates an expression on this node, in a process that keeps variables and owns tables.
-spec evaluate(string()) -> result().
evaluate(Text) ->
    Monitor = monitor(process, shell_process()),
    ?MODULE ! {evaluate, {self(), Monitor}, Text},
    receive
        {Monitor, Result} -> demonitor(Monitor, [flush]), Result;
        {'DOWN', Monitor, process, _, Reason} -> {raised, lists:flatten(io_lib:print(Reason))}
    end.

%% @doc What was evaluated before is forgotten.
-spec forget() -> ok.
forget() ->
    case whereis(?MODULE) of
        undefined -> ok;
        Pid ->
            Monitor = monitor(process, Pid),
            exit(Pid, kill),
            receive {'DOWN', Monitor, process, Pid, _} -> ok end
    end.

shell_process() ->
    case whereis(?MODULE) of
        undefined ->
            Self = self(),
            {Pid, Monitor} = spawn_monitor(fun() ->
                                                   true = register(?MODULE, self()),
                                                   Self ! {self(), ready},
                                                   shell(erl_eval:new_bindings())
                                           end),
            receive {Pid, ready} -> demonitor(Monitor, [flush]), Pid;
                    {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
            end;
        Pid ->
            Pid
    end.

shell(Bindings) ->
    receive
        {evaluate, {From, Tag}, Text} ->
            {Result, Next} = in_shell(Text, Bindings),
            From ! {Tag, Result},
            shell(Next)
        %% Other messages wait for an example that receives them.
    end.

in_shell(Text, Bindings) ->
    try
        {ok, Tokens, _} = erl_scan:string(Text),
        {ok, Expressions} = erl_parse:parse_exprs(Tokens),
        {value, Value, Next} = erl_eval:exprs(Expressions, Bindings),
        {{value, Value}, Next}
    catch
        Class:Reason:Stack ->
            Printed = erl_error:format_exception(Class, Reason, Stack, #{column => 1}),
            {{raised, unicode:characters_to_list(Printed)}, Bindings}
    end.
