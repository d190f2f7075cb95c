%% Transactions that are given as data: ram:txn/3,4. Checks the data and makes conditions and
%% commands of them, for one write; and of what comes back the results.
-module(ram_txn).

-export([run/5, check_parts/3]).

%% TRANSACTION_PARTS_MAX of ram_limits.
-define(PARTS_MAX, 4096).

%% What an operation makes of what comes back.
-type reader() :: done | count | {value, Key :: term()}.

-spec run(term(), term(), term(), map(), ram_error:call()) ->
          {boolean(), [ram:txn_result()], ram:rev()}.
run(If, Then, Else, Options, Call) ->
    ok = ram_arguments:each(fun is_condition/1, If, 1, "must be a list of conditions", Call),
    [ok = ram_arguments:each(fun is_operation/1, Operations, Position,
                             "must be a list of operations", Call)
     || {Operations, Position} <- [{Then, 2}, {Else, 3}]],
    [ok = check_tables(Position, Parts, Call)
     || {Parts, Position} <- [{If, 1}, {Then, 2}, {Else, 3}]],
    Target = ram_write:target(ram_arguments:call_options(Options, #{}, Call), Call),
    Conditions = within(1, [condition(none, Condition) || Condition <- If], "conditions", Call),
    {ThenCommands, ThenReaders} = commands(2, Then, Target, Call),
    {ElseCommands, ElseReaders} = commands(3, Else, Target, Call),
    case ram_write:run(Target, Conditions, ThenCommands, ElseCommands) of
        {ran, true, Revision, Held} ->
            {true, results(ThenReaders, Held, unreadable(ThenCommands), Call), Revision};
        {ran, false, Revision, Held} ->
            {false, results(ElseReaders, Held, unreadable(ElseCommands), Call), Revision};
        {error, {bad_key, Why}} ->
            {Position, N} = wrong_key(If, Then, Else),
            ram_request:bad_key(Why, Position, io_lib:format("element ~b: ", [N]), Call);
        {error, Reason} ->
            ram_write:failed(Reason, ThenCommands ++ ElseCommands, Call)
    end.

%%% Checks

is_condition({_Key, AbsentOrPresent}) -> lists:member(AbsentOrPresent, [absent, present]);
is_condition({_Key, '=:=', _Value}) -> true;
is_condition({_Key, rev, Compares, Revision}) ->
    lists:member(Compares, ['=', '<', '>']) andalso is_integer(Revision) andalso Revision >= 0
        andalso Revision =< 1 bsl 53;
%% No table in a table; but `in' may be a key.
is_condition({in, _Table, {in, Compares, _}}) when Compares =/= '=:=' -> false;
is_condition({in, Table, Condition}) -> is_table(Table) andalso is_condition(Condition);
is_condition(_Other) -> false.

is_operation({get, _Key}) -> true;
is_operation({put, _Key, _Value}) -> true;
is_operation({put, _Key, _Value, Options}) -> is_put_options(Options);
is_operation({delete, _Key}) -> true;
is_operation({take, _Key}) -> true;
is_operation({update_counter, _Key, Count}) -> ram_arguments:count(Count) =:= ok;
is_operation({in, _Table, {in, _, _}}) -> false;
is_operation({in, Table, Operation}) -> is_table(Table) andalso is_operation(Operation);
is_operation(_Other) -> false.

is_put_options(Options) when is_map(Options) ->
    Checks = ram_owned:options(#{}),
    lists:all(fun({Key, Value}) ->
                      case Checks of
                          #{Key := Check} -> Check(Value) =:= ok;
                          #{} -> false
                      end
              end, maps:to_list(Options));
is_put_options(_Options) ->
    false.

is_table(Table) -> is_atom(Table) andalso Table =/= ''.

check_tables(Position, Parts, Call) ->
    [ok = ram_arguments:argument(Table, Position, fun ram_arguments:table/1, Call)
     || {in, Table, _Part} <- Parts],
    ok.

within(Position, Parts, What, Call) ->
    case length(Parts) =< ?PARTS_MAX of
        true -> Parts;
        false -> ram_arguments:wrong(Call, Position, "must have at most ~b ~ts",
                                     [?PARTS_MAX, What])
    end.

%% Where the key stands that the library refused: in which argument, and which element of it.
wrong_key(If, Then, Else) ->
    Keys = [{{1, N}, condition_key(Part)} || {N, Part} <- numbered(If)]
        ++ [{{Position, N}, operation_key(Part)}
            || {Position, Parts} <- [{2, Then}, {3, Else}], {N, Part} <- numbered(Parts)],
    {value, {Place, _Key}} =
        lists:search(fun({_Place, Key}) -> not ram_request:is_key(Key) end, Keys),
    Place.

numbered(Parts) -> lists:zip(lists:seq(1, length(Parts)), Parts).

condition_key({in, Table, Condition}) when Table =/= '=:=' -> condition_key(Condition);
condition_key(Condition) -> element(1, Condition).

operation_key({in, _Table, Operation}) -> operation_key(Operation);
operation_key(Operation) -> element(2, Operation).

%% @doc Raises badarg for the fun of a transaction that read or wrote more than one write may have.
-spec check_parts([ram_write:condition()], [ram_write:command()], ram_error:call()) -> ok.
check_parts(Conditions, Commands, Call) ->
    _ = within(1, Conditions, "keys and ranges that it reads", Call),
    _ = within(1, Commands, "keys that it writes", Call),
    ok.

%%% What is sent, and what comes back

condition(Table, {Key, AbsentOrPresent}) -> {Table, Key, AbsentOrPresent};
condition(Table, {Key, '=:=', Value}) -> {Table, Key, {value, term_to_binary(Value)}};
condition(Table, {Key, rev, Compares, Revision}) -> {Table, Key, {rev, Compares, Revision}};
condition(none, {in, Table, Condition}) -> condition(ram_options:table(Table), Condition).

commands(Position, Operations, {Member, TimeoutMs, _Table}, Call) ->
    Beside = fun(N, Options) ->
                     Where = lists:concat(["element ", N, ": "]),
                     ram_owned:beside(Options, {Member, TimeoutMs}, Position, Where, Call)
             end,
    {Commands, Readers} =
        lists:unzip([command(none, Operation, fun(Options) -> Beside(N, Options) end)
                     || {N, Operation} <- numbered(Operations)]),
    What = "operations, of which a take counts twice",
    {within(Position, lists:append(Commands), What, Call), Readers}.

%% `Beside' makes of the options of a put what follows its value.
-spec command(none | binary(), tuple(), fun((map()) -> [term()])) ->
          {[ram_write:command()], reader()}.
command(Table, {get, Key}, _Beside) -> {[{get, Table, Key}], {value, Key}};
command(Table, {put, Key, Value}, _Beside) ->
    {[{put, Table, Key, term_to_binary(Value)}], done};
command(Table, {put, Key, Value, Options}, Beside) ->
    {[list_to_tuple([put, Table, Key, term_to_binary(Value) | Beside(Options)])], done};
command(Table, {delete, Key}, _Beside) -> {[{delete, Table, Key}], done};
command(Table, {take, Key}, _Beside) -> {[{get, Table, Key}, {delete, Table, Key}], {value, Key}};
command(Table, {update_counter, Key, {Increment, Threshold, SetTo}}, _Beside) ->
    {[{count, Table, Key, Increment, 0, {Threshold, SetTo}}], count};
command(Table, {update_counter, Key, Increment}, _Beside) ->
    {[{count, Table, Key, Increment, 0, none}], count};
command(none, {in, Table, Operation}, Beside) ->
    command(ram_options:table(Table), Operation, Beside).

%% What is said of a value that this OTP cannot read.
unreadable(Commands) ->
    case lists:all(fun(Command) -> element(1, Command) =:= get end, Commands) of
        true -> unreadable_value;
        false -> unreadable_result
    end.

results([done | Readers], Held, Unreadable, Call) ->
    [ok | results(Readers, Held, Unreadable, Call)];
results([count | Readers], [{Binary, _, _, _, _, _} | Held], Unreadable, Call) ->
    [binary_to_term(Binary) | results(Readers, Held, Unreadable, Call)];
results([{value, _Key} | Readers], [none | Held], Unreadable, Call) ->
    [error | results(Readers, Held, Unreadable, Call)];
results([{value, Key} | Readers], [{Binary, _, _, _, _, _} | Held], Unreadable, Call) ->
    Value = ram_request:decoded(Binary, Key, Unreadable, Call),
    [{ok, Value} | results(Readers, Held, Unreadable, Call)];
results([], [], _Unreadable, _Call) ->
    [].
