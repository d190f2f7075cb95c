%% What transactions answer and leave behind, for ram_model: those given as data, and those of a
%% fun, whose steps are data too.
%%
%% A step is `{get, Key}', `{get, Table, Key, Default}', `{fetch | delete, Table, Key}',
%% `{put, Table, Key, Value, Options}', `{range, Table, From, To, Options}', `{abort, Reason}',
%% `{raise, Class, Reason}', `nested', or what the fun does beside the transaction:
%% `{outside, Times, Table, Key, Value}', a put in its first runs.
-module(ram_model_txn).

-export([txn/5, transaction/3]).

-record(tx, {snapshot :: ram_model:state(),
             %% What others see, with what the fun does beside the transaction.
             state :: ram_model:state(),
             run :: pos_integer(),
             keys = [] :: [{Table :: atom(), Key :: term()}],
             ranges = [] :: [{Table :: atom(), From :: term(), To :: term()}],
             own = #{} :: #{{Table :: atom(), Key :: term()}
                           => {put, term(), ram_model:given()} | delete}}).

-spec txn(list(), list(), list(), atom(), ram_model:state()) -> {term(), ram_model:state()}.
txn(If, Then, Else, Table, State) ->
    _ = ram_model:content(Table, State),
    Holds = lists:all(fun(Condition) -> is_met(Condition, Table, State) end, If),
    Operations = case Holds of true -> Then; false -> Else end,
    {Results, Changed} =
        lists:mapfoldl(fun(Operation, S) -> do(Operation, Table, S) end, State, Operations),
    #{rev := Rev} = After = ram_model:written(State, Changed),
    {{Holds, Results, Rev}, After}.

is_met({Key, '=:=', Value}, Table, State) ->
    ram_model:holds({value, Value}, ram_model:entry(Table, Key, State));
is_met({in, Table, Condition}, _Table, State) ->
    is_met(Condition, Table, State);
is_met({Key, rev, Compares, Rev}, Table, State) ->
    case {ram_model:entry(Table, Key, State), Compares} of
        {none, _} -> false;
        {#{rev := Now}, '='} -> Now =:= Rev;
        {#{rev := Now}, '<'} -> Now < Rev;
        {#{rev := Now}, '>'} -> Now > Rev
    end;
is_met({Key, Expected}, Table, State) ->
    ram_model:holds(Expected, ram_model:entry(Table, Key, State)).

do({in, Table, Operation}, _Table, State) ->
    do(Operation, Table, State);
do({get, Key}, Table, State) ->
    {found(ram_model:entry(Table, Key, State)), State};
do({put, Key, Value}, Table, State) ->
    do({put, Key, Value, #{}}, Table, State);
do({put, Key, Value, Given}, Table, State) ->
    {ok, ram_model:put(Table, Key, Value, Given, State)};
do({delete, Key}, Table, State) ->
    {ok, ram_model:remove(Table, Key, State)};
do({take, Key}, Table, State) ->
    {found(ram_model:entry(Table, Key, State)), ram_model:remove(Table, Key, State)};
do({update_counter, Key, Count}, Table, State) ->
    case ram_model:count(ram_model:entry(Table, Key, State), Count, 0) of
        error -> throw({raised, {not_an_integer, Key}});
        Number -> {Number, ram_model:put(Table, Key, Number, keep, State)}
    end.

found(none) -> error;
found(#{value := Value}) -> {ok, Value}.

%%% Of a fun

-spec transaction(list(), non_neg_integer(), ram_model:state()) -> {term(), ram_model:state()}.
transaction(Steps, Retries, State) ->
    transaction(1, Steps, Retries + 1, State).

transaction(Run, Steps, Runs, State) ->
    case steps(Steps, [], #tx{snapshot = State, state = State, run = Run}) of
        {ended, Answer, #tx{state = Meanwhile}} ->
            {Answer, Meanwhile};
        {done, Results, #tx{state = Meanwhile} = Tx} ->
            case is_overtaken(Tx) of
                false -> {{ok, Results}, committed(Tx)};
                true when Run =:= Runs -> {{aborted, conflict}, Meanwhile};
                true -> transaction(Run + 1, Steps, Runs, Meanwhile)
            end
    end.

steps([], Results, Tx) ->
    {done, lists:reverse(Results), Tx};
steps([Step | Steps], Results, Tx) ->
    try step(Step, Tx) of
        {Result, After} -> steps(Steps, [Result | Results], After)
    catch
        throw:{ended, Answer} -> {ended, Answer, Tx};
        throw:{raised, _} = Raised -> {ended, Raised, Tx}
    end.

step({abort, Reason}, _Tx) -> throw({ended, {aborted, Reason}});
step({raise, error, Reason}, _Tx) -> throw({raised, Reason});
step({raise, Class, Reason}, _Tx) -> throw({ended, {raised, Class, Reason}});
step(nested, _Tx) -> throw({raised, badarg});
step({outside, Times, Table, Key, Value}, #tx{run = Run, state = State} = Tx) when Run =< Times ->
    Put = ram_model:put(Table, Key, Value, #{}, State),
    {outside, Tx#tx{state = ram_model:written(State, Put)}};
step({outside, _Times, _Table, _Key, _Value}, Tx) ->
    {outside, Tx};
step({get, Key}, Tx) ->
    step({get, default, Key, undefined}, Tx);
step({get, Table, Key, Default}, Tx) ->
    case step({fetch, Table, Key}, Tx) of
        {{ok, Value}, After} -> {Value, After};
        {error, After} -> {Default, After}
    end;
step({fetch, Table, Key}, #tx{snapshot = Snapshot, own = Own, keys = Keys} = Tx) ->
    Entry = ram_model:entry(Table, Key, Snapshot),
    case Own of
        #{{Table, Key} := {put, Value, _}} -> {{ok, Value}, Tx};
        #{{Table, Key} := delete} -> {error, Tx};
        #{} -> {found(Entry), Tx#tx{keys = [{Table, Key} | Keys]}}
    end;
step({put, Table, Key, Value, Given}, Tx) ->
    write(Table, Key, {put, Value, Given}, Tx);
step({delete, Table, Key}, Tx) ->
    write(Table, Key, delete, Tx);
step({range, Table, From, To, Options}, #tx{snapshot = Snapshot, ranges = Ranges} = Tx) ->
    {Type, Content} = ram_model:content(Table, Snapshot),
    Type =:= ordered_set orelse throw({raised, badarg}),
    Seen = maps:fold(fun({Of, Key}, Change, Acc) when Of =:= Table -> seen(Key, Change, Acc);
                        (_OfAnother, _Change, Acc) -> Acc
                     end, Content, Tx#tx.own),
    All = ram_model_scan:answer(range, [From, To], Options, {ordered_set, Seen}),
    {lists:sublist(All, maps:get(limit, Options, length(All))),
     Tx#tx{ranges = [{Table, From, To} | Ranges]}}.

write(Table, Key, Change, #tx{snapshot = Snapshot, own = Own} = Tx) ->
    _ = ram_model:content(Table, Snapshot),
    {ok, Tx#tx{own = Own#{{Table, Key} => Change}}}.

seen(Key, {put, Value, _Given}, Content) -> Content#{Key => #{value => Value}};
seen(Key, delete, Content) -> maps:remove(Key, Content).

%% Has what it read been changed meanwhile? Of no account for one that wrote nothing.
is_overtaken(#tx{own = Own}) when map_size(Own) =:= 0 ->
    false;
is_overtaken(#tx{snapshot = Snapshot, state = State, keys = Keys, ranges = Ranges}) ->
    Differs = fun({Table, Key}) ->
                      ram_model:entry(Table, Key, Snapshot) =/= ram_model:entry(Table, Key, State)
              end,
    Of = fun({Table, From, To}, S) ->
                 {_, Content} = ram_model:content(Table, S),
                 maps:with([Key || {Key, _} <- ram_model_scan:range(From, To, Content)], Content)
         end,
    lists:any(Differs, Keys)
        orelse lists:any(fun(Range) -> Of(Range, Snapshot) =/= Of(Range, State) end, Ranges).

committed(#tx{state = State, own = Own}) ->
    Write = fun({Table, Key}, {put, Value, Given}, S) ->
                    ram_model:put(Table, Key, Value, Given, S);
               ({Table, Key}, delete, S) ->
                    ram_model:remove(Table, Key, S)
            end,
    Changed = maps:fold(Write, State, Own),
    ram_model:written(State, Changed).
